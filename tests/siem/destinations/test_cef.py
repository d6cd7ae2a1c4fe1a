from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.destinations import cef
from deodar.siem.storage.model import MODEL


def read(line: str) -> tuple[list[str], dict[str, str]]:
    """An independent reader of CEF, character by character: header fields and extension."""
    fields, current, position = [], "", 0
    while len(fields) < 7:
        character = line[position]
        if character == "\\":
            position += 1
            current += line[position]
        elif character == "|":
            fields.append(current)
            current = ""
        else:
            current += character
        position += 1
    return fields, _extension(line[position:])


def _extension(text: str) -> dict[str, str]:
    """Read key=value pairs; a key is the word before an equals sign that nothing escapes."""
    signs = []
    position = 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == "=":
            signs.append(position)
        position += 1
    found = {}
    for number, sign in enumerate(signs):
        begin = text.rfind(" ", 0, sign) + 1
        end = text.rfind(" ", 0, signs[number + 1]) if number + 1 < len(signs) else len(text)
        found[text[begin:sign]] = _unescaped(text[sign + 1 : end])
    return found


def _unescaped(value: str) -> str:
    made, position = "", 0
    while position < len(value):
        if value[position] == "\\":
            position += 1
            made += {"n": "\n", "r": "\r"}.get(value[position], value[position])
        else:
            made += value[position]
        position += 1
    return made


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
NASTY = st.text(st.sampled_from("\\|=\n\r nr a"), min_size=1)


@given(st.dictionaries(st.sampled_from(sorted(MODEL)), TEXTS | NASTY, min_size=1))
def test_what_is_written_is_what_a_reader_reads(event):
    header, extension = read(cef.line(event))
    assert header[0] == "CEF:0"
    for name, found in zip(cef.HEADER, header[1:6], strict=True):
        assert found == event.get(name, "").replace("\n", " ").replace("\r", " ")
    rest = {n: v for n, v in event.items() if n not in cef.HEADER and n != "Severity"}
    assert extension == {cef.key_of(name): value for name, value in rest.items()}


def test_every_field_of_the_model_has_a_key_of_its_own():
    keys = [cef.key_of(name) for name in MODEL]
    assert len(set(keys)) == len(keys)
    assert all(key.isascii() and key.isalnum() for key in keys)


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("SourceAddress", "src"),
        ("DeviceCustomString1", "cs1"),
        ("DeviceCustomString1Label", "cs1Label"),
        ("DeviceCustomIPv6Address2", "c6a2"),
        ("DeviceCustomDate1", "deviceCustomDate1"),
        ("FlexString2", "flexString2"),
        ("OldFileName", "oldFileName"),
        ("DestinationServiceName", "destinationServiceName"),
    ],
)
def test_keys_are_those_of_the_dictionary(field, key):
    assert cef.key_of(field) == key


@pytest.mark.parametrize(
    ("severity", "written"),
    [("7", "7"), ("10", "10"), ("11", "Unknown"), ("high", "High"), ("Very-High", "Very-High"),
     ("", "Unknown"), ("grave", "Unknown"), (3, "3")],
)  # fmt: skip
def test_severities_are_those_of_the_format(severity, written):
    header, _ = read(cef.line({"Severity": severity, "Name": "x"}))
    assert header[6] == written


def test_lists_and_maps_are_written_as_json():
    _, extension = read(cef.line({"Extra": {"a": "b=c"}, "GroupedBy": ["x"]}))
    assert extension == {"extra": '{"a":"b=c"}', "groupedBy": '["x"]'}
