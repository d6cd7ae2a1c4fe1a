from __future__ import annotations

import msgspec
import pytest

from deodar.events import VOCABULARY
from deodar.events.vocabulary import load

KATA_TYPES = {
    "process",
    "process_terminate",
    "module",
    "connection",
    "applock",
    "blockdocument",
    "filechange",
    "windowsevent",
    "registry",
    "portlisten",
    "driver",
    "threatdetect",
    "threatprocessingresult",
    "amsiscan",
    "process_interpretated_file_run",
    "process_console_interactive_input",
}
FILTER_FIELDS = {
    "HostName": "string",
    "HostIp": "string",
    "EventType": "string",
    "UserName": "string",
    "OsFamily": "string",
    "OsVersion": "string",
    "Ioa.Rules.Id": "strings",
    "Ioa.Rules.Name": "strings",
    "Ioa.Rules.Techniques": "strings",
    "Ioa.Rules.Tactics": "strings",
    "Ioa.Severity": "string",
    "Ioa.Confidence": "string",
    "FileCreationTime": "integer",
    "DllCreationTime": "integer",
    "DroppedCreationTime": "integer",
    "InterpretedFileCreationTime": "integer",
    "FileName": "string",
    "DllName": "string",
    "DroppedName": "string",
    "BlockedName": "string",
    "InterpretedFileName": "string",
}


def test_the_event_types_are_those_of_kata_and_ours() -> None:
    ours = {kind.name for kind in VOCABULARY.types.values() if kind.extension}
    assert ours == {
        "process_fork",
        "filechange_repeats",
        "rawsocket",
        "dns",
        "process_access",
        "process_tampering",
        "memoryfile",
        "bpf",
        "rawdevice",
        "agent_start",
        "agent_stop",
        "agent_task_state",
        "telemetry_loss",
    }
    assert set(VOCABULARY.types) - ours == KATA_TYPES


def test_the_fields_for_filtering_in_the_api_are_there_and_certain() -> None:
    found = {name: VOCABULARY.fields[name] for name in FILTER_FIELDS}
    assert {name: field.kind for name, field in found.items()} == FILTER_FIELDS
    assert all(field.certain for field in found.values())


def test_every_type_has_the_common_fields_first() -> None:
    for kind in VOCABULARY.types.values():
        assert kind.fields[: len(VOCABULARY.common)] == VOCABULARY.common
        assert len(set(kind.fields)) == len(kind.fields)


def test_every_field_belongs_to_a_type() -> None:
    used = {name for kind in VOCABULARY.types.values() for name in kind.fields}
    assert used == set(VOCABULARY.fields)


def test_times_are_microseconds() -> None:
    for field in VOCABULARY.fields.values():
        if field.name.endswith(("Time", "Timestamp")):
            assert (field.kind, field.unit) == ("integer", "µs since the epoch"), field.name


def test_every_field_is_explained_in_a_phrase() -> None:
    for field in VOCABULARY.fields.values():
        assert len(field.meaning) > 10, field.name
        assert not field.meaning.endswith("."), field.name
        assert field.kind == "integer" or not (field.unit or field.values), field.name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("FILENAME", "FileName"),
        ("ioa.rules.name", "Ioa.Rules.Name"),
        ("IOAImportance", "Ioa.Severity"),
        ("RemoteIP", "RemoteIp"),
        ("Uri", "URI"),
        ("MD5", "Md5"),
        ("FileMd5", "Md5"),
        ("host", "HostName"),
    ],
)
def test_fields_are_found_by_name_or_alias_in_any_case(spelling: str, name: str) -> None:
    field = VOCABULARY.field(spelling)
    assert field is not None
    assert field.name == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("process_interpreted_file_run", "process_interpretated_file_run"),
        ("blockeddocument", "blockdocument"),
        ("amsi_scan", "amsiscan"),
        ("FileChange", "filechange"),
    ],
)
def test_types_are_found_by_name_or_alias_in_any_case(spelling: str, name: str) -> None:
    kind = VOCABULARY.type(spelling)
    assert kind is not None
    assert kind.name == name


def test_what_there_is_not() -> None:
    assert VOCABULARY.field("FileNam") is None
    assert VOCABULARY.type("dance") is None


def test_a_dotted_name_is_a_path() -> None:
    assert VOCABULARY.fields["Ioa.Rules.Name"].path == ("Ioa", "Rules", "Name")
    assert VOCABULARY.fields["Md5"].path == ("Md5",)


SMALL = """
common = ["base"]
required = ["A"]
[groups.base]
title = "Base"
[groups.base.fields]
A = { meaning = "a", aliases = ["First"] }
B = { meaning = "b", kind = "integer" }
[types.one]
title = "One"
meaning = "one"
importance = "high"
linux = true
groups = []
"""


def test_a_vocabulary_is_read_from_text() -> None:
    small = load(SMALL)
    assert small.types["one"].fields == ("A", "B")
    assert small.required == ("A",)
    assert small.types["one"].importance == "high"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"First"', '"b"', "two things are named B"),
        ('required = ["A"]', 'required = ["C"]', "no such field: C"),
        ("groups = []", 'groups = ["none"]', "no such group: none"),
        ("groups = []", 'groups = []\nfields = ["D"]', "no such field: D"),
    ],
)
def test_names_that_clash_or_are_missing_are_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(SMALL.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [('"integer"', '"float"'), ('title = "One"', 'name = "One"'), ('"high"', '"highest"')],
)
def test_a_wrong_shape_is_refused(old: str, new: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        load(SMALL.replace(old, new))
