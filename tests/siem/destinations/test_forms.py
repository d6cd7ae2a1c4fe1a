from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.siem.batches import FETCHED_MS, batch

from deodar.siem.destinations import forms


def test_a_line_of_json_has_the_fields_that_hold_something():
    (line,) = forms.render("json", batch(1, Name="", DestinationPort=None).events)
    assert json.loads(line) == {
        "ID": "id-0",
        "Timestamp": FETCHED_MS,
        "BatchID": "batch-1",
        "DeviceVendor": "Kaspersky",
        "DeviceProduct": "KATA",
        "DeviceEventCategory": "process",
        "DeviceHostName": "host-1",
        "FilePath": "/opt/a=b\\c/0",
        "Extra": {"Depth": "0"},
    }


def test_a_zero_is_a_value():
    (line,) = forms.render("json", batch(1).events)
    assert json.loads(line)["DestinationPort"] == 0


def test_no_form_has_a_line_feed_inside_an_event():
    events = batch(1, Name="a\nb", FilePath="c\r\nd\x85e").events
    for form in forms.FORMS:
        assert b"\n" not in forms.render(form, events)[0]


@given(st.lists(st.binary(max_size=40)), st.integers(1, 100), st.integers(1, 5))
def test_chunks_keep_every_line_in_order_within_the_limits(lines, max_bytes, max_lines):
    groups = list(forms.chunks(lines, max_bytes, max_lines))
    assert [line for group in groups for line in group] == lines
    for group in groups:
        assert len(group) <= max_lines
        assert len(group) == 1 or len(forms.ndjson(group)) <= max_bytes
    assert groups == list(forms.chunks(lines, max_bytes, max_lines))
