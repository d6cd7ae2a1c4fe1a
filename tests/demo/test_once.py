from __future__ import annotations

import io

from rich.console import Console

from deodar.demo import once


def test_the_found_event_and_its_hops_are_shown():
    row: dict[str, object] = {column: f"<{name}>" for name, column in once.FIELDS.items()}
    row |= {"StartTime": 1_000, "DeviceReceiptTime": 1_150, "Timestamp": 1_900}
    out = io.StringIO()
    once.show(once.Found(row, 2_500), Console(file=out, width=120))
    text = out.getvalue()
    assert all(f"<{name}>" in text for name in once.FIELDS)
    assert all(f"{after} ms" in text for after in (0, 150, 900, 1500))
    assert "00:00:01.150" in text


def test_each_run_has_its_own_mark():
    assert once.run_marked_command() != once.run_marked_command()
