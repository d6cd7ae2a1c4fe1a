"""Every event against the public schema, as the package ocsf-json-schema carries it."""

from __future__ import annotations

from collections import Counter
from functools import cache

import jsonschema_rs
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from tests.siem.normalized import normalized

from deodar.siem.destinations import ocsf

NAMES = {
    0: "base_event",
    1001: "file_activity",
    1007: "process_activity",
    4001: "network_activity",
    4003: "dns_activity",
}


@cache
def validator(class_uid: int):
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(ocsf.VERSION))
    made = schema.get_class_schema(NAMES[class_uid], ["host"])
    return jsonschema_rs.validator_for(made)


def problems(event: dict) -> list[str]:
    found = validator(event["class_uid"]).iter_errors(event)
    return [f"{'.'.join(map(str, one.instance_path))}: {one.message[:200]}" for one in found]


def test_every_event_is_valid_by_the_public_schema():
    counts: Counter[int] = Counter()
    for fields in normalized():
        event = ocsf.event(fields)
        assert problems(event) == [], event
        counts[event["class_uid"]] += 1
    assert all(counts[class_uid] >= 5 for class_uid in NAMES)


def test_the_validator_finds_what_is_wrong():
    event = ocsf.event(normalized()[0])
    assert problems({**event, "severity_id": "high"})
    assert problems({**event, "no_such_attribute": 1})


def test_nothing_is_lost():
    for fields in normalized():
        text = str(ocsf.event(fields))
        for name, value in fields.items():
            if name not in ("Name", "DeviceAction", "TransportProtocol") and "Label" not in name:
                assert str(value) in text or repr(value) in text, name


@pytest.mark.parametrize(
    ("fields", "class_uid", "activity"),
    [
        ({"DeviceEventCategory": "process", "DestinationProcessID": 7, "SourceUserName": "r"},
         1007, 1),
        ({"DeviceEventCategory": "process"}, 0, 0),
        ({"DeviceEventCategory": "filechange", "OldFileName": "x", "DeviceAction": "delete",
          "DestinationProcessID": 7}, 1001, 4),
        ({"DeviceEventCategory": "filechange", "OldFileName": "x"}, 0, 0),
        ({"DeviceEventCategory": "connection", "DestinationAddress": "192.0.2.1"}, 4001, 1),
        ({"DeviceEventCategory": "connection", "DestinationPort": 1}, 0, 0),
        ({"DeviceEventCategory": "dns", "DestinationDnsDomain": "example.org"}, 4003, 1),
        ({}, 0, 0),
    ],
)  # fmt: skip
def test_an_event_that_lacks_what_its_class_requires_is_a_base_event(fields, class_uid, activity):
    event = ocsf.event({"Timestamp": 1_795_310_453_954, **fields})
    assert (event["class_uid"], event["activity_id"]) == (class_uid, activity)
    assert event["type_uid"] == class_uid * 100 + activity
    assert problems(event) == []
