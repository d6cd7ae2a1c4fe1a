from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.siem.normalized import normalized

from deodar.siem.normalizers.deodar_json import FOREIGN, DeodarJsonNormalizer


def rows(*events) -> list[dict]:
    raw = [json.dumps(event).encode() if isinstance(event, dict) else event for event in events]
    return DeodarJsonNormalizer().run(raw).batch.to_pylist()


def test_events_of_a_collectors_destination_come_back_as_they_were():
    sent = normalized()
    outcome = DeodarJsonNormalizer().run([msgspec.json.encode(event) for event in sent])
    assert not outcome.dead
    for before, after in zip(sent, outcome.batch.to_pylist(), strict=True):
        extra = dict(after.pop("Extra") or [])
        foreign = {name: before[name] for name in FOREIGN if name in before}
        assert extra == dict(before.get("Extra", {})) | foreign
        for name, value in after.items():
            assert value == before.get(name, type(value)()), name
        assert set(before) - set(FOREIGN) - {"Extra"} <= set(after)


def test_what_names_the_sender_does_not_become_ours():
    (row,) = rows({"Name": "x", "TenantID": "theirs", "BatchID": "b-1"})
    assert "TenantID" not in row
    assert dict(row["Extra"]) == {"TenantID": "theirs", "BatchID": "b-1"}


def test_what_is_no_field_or_does_not_fit_goes_to_extra():
    event = {
        "Name": "x",
        "colour": "red",
        "n": [1, {"a": 2}],
        "SourcePort": "many",
        "StartTime": 2**70,
    }
    (row,) = rows(event)
    assert (row["Name"], "SourcePort" in row) == ("x", False)
    assert dict(row["Extra"]) == {
        "colour": "red", "n": '[1, {"a": 2}]', "SourcePort": "many", "StartTime": str(2**70),
    }  # fmt: skip


def test_numbers_in_texts_are_numbers_and_long_texts_are_kept_whole():
    (row,) = rows({"SourcePort": "514", "TransportProtocol": "x" * 40})
    assert row["SourcePort"] == 514
    assert row["TransportProtocol"] == "x" * 31
    assert dict(row["Extra"]) == {"TransportProtocol": "x" * 40}


def test_what_is_no_object_is_a_dead_letter_and_the_others_are_rows():
    outcome = DeodarJsonNormalizer().run([b'{"Name":"a"}', b"[1]", b"\xff", b'{"Name":"b"}'])
    assert outcome.rows == [0, 3]
    assert [letter.index for letter in outcome.dead] == [1, 2]
    assert outcome.dead[0].raw == b"[1]"


@given(
    st.lists(
        st.binary(max_size=40)
        | st.dictionaries(st.text(), st.text()).map(lambda d: json.dumps(d).encode())
    )
)
def test_every_event_is_a_row_or_a_dead_letter(events):
    outcome = DeodarJsonNormalizer().run(events)
    places = sorted([*outcome.rows, *(letter.index for letter in outcome.dead)])
    assert places == list(range(len(events)))
