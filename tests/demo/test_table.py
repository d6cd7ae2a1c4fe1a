from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from deodar.demo import table


def _row(number: int, **fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        (
            *("SourceUserName", "DestinationProcessName", "DeviceCustomString4"),
            *("DestinationAddress", "SourceAddress"),
        ),
        "",
    )
    numbers = dict.fromkeys(("DestinationProcessID", "DestinationPort", "SourcePort"), 0)
    own = {"ID": f"{number:04d}", "Timestamp": number, "DeviceEventCategory": "process"}
    return {**empty, **numbers, **own, **fields}


def test_a_process_is_shown_by_its_command_line():
    row = _row(
        1_700_000_000_123,
        DeviceCustomString4="/bin/true 1",
        SourceUserName="root",
        DestinationProcessID=7,
    )
    assert table.cells(row) == ("22:13:20", "process", "root", "7", "/bin/true 1")


def test_a_connection_is_shown_by_its_addresses():
    row = _row(0, SourceAddress="::1", SourcePort=5, DestinationAddress="::1", DestinationPort=7)
    assert table.cells(row)[-1] == "::1:5 → ::1:7"


@pytest.mark.parametrize("terminal", [True, False])
def test_rows_are_shown_as_they_arrive_until_interrupted(terminal):
    answers = iter([[_row(1, DeviceCustomString4="first")], [], [_row(2, FileName="x")]])
    asked = []

    def search(sql: str) -> list[dict[str, Any]]:
        asked.append(sql)
        rows = next(answers, None)
        if rows is None:
            raise KeyboardInterrupt
        return rows

    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, _environ={})
    with pytest.raises(KeyboardInterrupt):
        table.watch(search, console)
    assert "first" in out.getvalue()
    assert "> (1, '0001')" in asked[1]
    assert "> (1, '0001')" in asked[2]
    assert "> (2, '0002')" in asked[3]
