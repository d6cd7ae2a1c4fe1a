from __future__ import annotations

import json
import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.journal.record import (
    FIELDS,
    MAXIMUM_DETAILS,
    MAXIMUM_NAME,
    MAXIMUM_TEXT,
    Record,
    as_dict,
    detail_texts,
    from_dict,
    text_of,
    to_lines,
)

STARTED = Record(
    event_id=7,
    event_type="TaskStateChanged",
    date=1_790_000_000.25,
    task_id=24,
    task_name="KATAEDR",
    task_type="KATAEDR",
    runtime_task_id=3,
    details={"TaskState": "Started"},
)


@pytest.fixture
def vladivostok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Vladivostok")
    time.tzset()


@pytest.fixture(autouse=True)
def own_zone_again() -> object:
    yield
    os.environ.pop("TZ", None)
    time.tzset()


def test_lines_are_those_of_kesl(vladivostok: None) -> None:
    assert to_lines(STARTED) == [
        "EventType=TaskStateChanged",
        "EventId=7",
        "Initiator=Product",
        "Date=2026-09-22 00:13:20",
        "DangerLevel=Info",
        "TaskName=KATAEDR",
        "RuntimeTaskId=3",
        "TaskId=24",
        "TaskType=KATAEDR",
        "TaskState=Started",
    ]


def test_an_event_about_no_task_has_no_fields_of_tasks() -> None:
    lines = to_lines(Record(event_id=1, event_type="ApplicationStarted", date=0.0))
    assert [line.partition("=")[0] for line in lines] == [
        "EventType",
        "EventId",
        "Initiator",
        "Date",
        "DangerLevel",
    ]


def test_a_dictionary_has_every_field_and_is_read_back() -> None:
    values = as_dict(STARTED)
    assert list(values)[: len(FIELDS)] == [field.name for field in FIELDS]
    assert values["Date"] == 1_790_000_000.25
    assert from_dict(json.loads(json.dumps(values))) == STARTED
    with pytest.raises(KeyError, match="EventId"):
        from_dict({"EventType": "x"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("/srv/ä", "/srv/ä"),
        (b"/srv/\xc3\xa4", "/srv/ä"),
        (b"/srv/\xff\xfe", "/srv/??"),
        (b"\xf4\x90\x80\x80", "????"),  # a code point above U+10FFFF
        (os.fsdecode(b"/srv/\xff"), "/srv/?"),
        (Path(os.fsdecode(b"/srv/\xff")), "/srv/?"),
        ("a\0b", "a?b"),
        (True, "Yes"),
        (False, "No"),
        (12, "12"),
        (["a", "b"], "a, b"),
        ("x" * (MAXIMUM_TEXT + 1), "x" * MAXIMUM_TEXT + "…"),
    ],
)
def test_texts_can_be_stored_and_printed(value: object, text: str) -> None:
    assert text_of(value) == text


@given(st.binary(max_size=200))
def test_any_bytes_become_valid_text_with_one_mark_for_each_bad_byte(data: bytes) -> None:
    text = text_of(data)
    text.encode("utf-8")
    kept = data.replace(b"\0", b"?").decode("utf-8", "surrogateescape")
    assert len(text) == len(kept)
    assert all(shown in (was, "?") for shown, was in zip(text, kept, strict=True))


def test_a_file_name_cannot_forge_a_line_or_turn_the_text_around() -> None:
    path = "/tmp/a\nEventType=Forged\x1b[2J\u202egnp\u2028x"
    record = msgspec.structs.replace(STARTED, details={"File": path})
    assert to_lines(record)[-1] == "File=/tmp/a?EventType=Forged?[2J?gnp?x"
    assert as_dict(record)["File"] == path


def test_names_of_details_can_be_said_in_queries() -> None:
    details = {
        "version": 1,
        "task_state": 2,
        "Taskstate": 3,
        "a-b c": 4,
        "9": 5,
        "": 6,
        "gone": None,
    }
    assert detail_texts(details) == {
        "Version": "1",
        "TaskState": "2",
        "ABC": "4",
        "Detail9": "5",
        "Detail": "6",
    }


def test_a_detail_does_not_hide_a_field() -> None:
    assert detail_texts({"TaskName": "x", "date": "y"}) == {
        "DetailTaskName": "x",
        "DetailDate": "y",
    }


def test_details_are_bounded() -> None:
    made = detail_texts(
        {f"{'n' * 100}{i}": "x" for i in range(3)} | {f"k{i}": i for i in range(99)}
    )
    assert len(made) == MAXIMUM_DETAILS
    assert max(map(len, made)) == MAXIMUM_NAME
