from __future__ import annotations

import io

from rich.console import Console

from deodar.siem.search.show import filled, show, shown


def printed(rows, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    show(console, rows)
    return console.export_text()


def test_few_columns_are_a_table():
    text = printed([{"Name": "a", "count": 3}, {"Name": "b", "count": 4}])
    assert "Name │ count" in text.replace("┃", "│")
    assert "2 rows" in text


def test_what_does_not_fit_is_shown_event_by_event_without_empty_fields():
    row = {f"Field{number}": "" for number in range(40)} | {"Name": "x" * 60, "Reason": "y" * 90}
    text = printed([row, row])
    assert "event 1" in text
    assert "event 2" in text
    assert "Field3" not in text
    assert "Reason" in text


def test_labels_stand_with_their_fields_and_times_are_dates_too():
    row = {
        "Timestamp": 1795310453954,
        "StartTime": 0,
        "DeviceCustomString4": "ls -l",
        "DeviceCustomString4Label": "Command line",
        "Extra": {"Uid": "0"},
    }
    assert filled(row) == [
        ("Timestamp", "1795310453954  2026-11-22 01:20:53.954+00:00"),
        ("DeviceCustomString4 (Command line)", "ls -l"),
        ("Extra.Uid", "0"),
    ]


def test_a_label_asked_for_alone_is_shown():
    assert filled({"FlexString1Label": "x"}) == [("FlexString1Label", "x")]


def test_a_time_that_is_none_is_shown_as_it_is():
    assert filled({"Timestamp": 10**18})[0][1].startswith("1000000000000000000")


def test_control_characters_cannot_steer_the_terminal():
    assert shown("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert "[red]" in printed([{"Name": "[red]x"}])


def test_no_rows_are_said_so():
    assert "no events found" in printed([])
