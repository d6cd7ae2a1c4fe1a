from __future__ import annotations

from tests.siem.normalized import normalized

from deodar.siem.destinations import ecs

CATEGORIES = {"process", "network", "file", "library", "driver", "malware"}
TYPES = {
    "start", "end", "connection", "info", "protocol", "change", "creation", "deletion", "access",
}  # fmt: skip


def test_a_process_is_where_the_schema_wants_it():
    event = ecs.event(
        {
            "ID": "id-1",
            "Timestamp": 1_795_310_453_954,
            "EndTime": 1_795_310_453_000,
            "DeviceEventCategory": "process",
            "Name": "Process",
            "DeviceHostName": "host-1",
            "DeviceAddress": "192.0.2.7",
            "DestinationProcessID": 7,
            "DestinationProcessName": "/usr/bin/id",
            "SourceProcessID": 1,
            "SourceUserName": "root",
            "DeviceCustomString4": "id -u",
            "DeviceCustomString4Label": "Command line",
            "FlexString2": "u-7",
            "FlexString2Label": "UniquePid",
            "Extra": {"Cwd": "/"},
        }
    )
    assert event["@timestamp"] == "2026-11-22T01:20:53.000Z"
    assert event["event"]["category"] == ["process"]
    assert event["event"]["type"] == ["start"]
    assert event["event"]["id"] == "id-1"
    assert event["host"] == {"name": "host-1", "ip": ["192.0.2.7"]}
    assert event["process"] == {
        "pid": 7,
        "entity_id": "u-7",
        "executable": "/usr/bin/id",
        "command_line": "id -u",
        "parent": {"pid": 1},
    }
    assert event["user"] == {"name": "root"}
    assert event["kuma"] == {"Extra": {"Cwd": "/"}}


def test_every_event_has_what_the_schema_requires_and_only_its_categories():
    for fields in normalized():
        event = ecs.event(fields)
        assert event["@timestamp"].endswith("Z")
        assert event["ecs"]["version"] == ecs.VERSION
        assert set(event["event"].get("category", [])) <= CATEGORIES
        assert set(event["event"]["type"]) <= TYPES


def test_a_deleted_file_is_a_deletion():
    event = ecs.event(
        {"DeviceEventCategory": "filechange", "DeviceAction": "delete", "OldFilePath": "/etc/x"}
    )
    assert event["event"]["type"] == ["deletion"]
    assert event["file"] == {"path": "/etc/x"}


def test_nothing_is_lost():
    for fields in normalized():
        event = ecs.event(fields)
        text = str(event)
        for name, value in fields.items():
            changed = name.endswith(("Time", "Timestamp", "Label")) or name == "TransportProtocol"
            assert changed or str(value) in text or repr(value) in text, name
