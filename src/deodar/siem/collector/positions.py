"""How far each destination has come in the collector's journal, durably and each by itself.

The journal gives a segment back when the last of them has it. A destination's own place is a file
``positions/NAME`` in the journal's folder, with which it lives and goes; `deodar.kit.journal.files`
tells its format. Like the journal's own mark it may come back a little older after a power cut,
never newer: a batch is then delivered again under the same id.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deodar.kit.journal.files import Marks, telling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deodar.siem.collector.desk import Desk

FOLDER = "positions"


class Positions:
    """The places of all destinations of one journal."""

    def __init__(self, journal: Path, desk: Desk, names: Sequence[str]) -> None:
        """Read the places of `names`; raises JournalUnavailable.

        A new destination begins with what the journal holds.
        """
        folder = journal / FOLDER
        self._folder, self._desk = folder, desk
        with telling(folder, "open"):
            folder.mkdir(exist_ok=True, mode=0o700)
            self._marks = {name: Marks(folder / name) for name in names}
        self._numbers = {
            name: min(max(marks.read(), desk.acknowledged), desk.last)
            for name, marks in self._marks.items()
        }

    def of(self, name: str) -> int:
        """Return the number of the last record that the destination is done with."""
        return self._numbers[name]

    async def advance(self, name: str, number: int) -> None:
        """Note that a destination is done up to `number`, and give back what all are done with.

        Raises JournalUnavailable when the disk refuses; in memory it is noted all the same.
        """
        self._numbers[name] = max(number, self._numbers[name])
        await asyncio.to_thread(self._write, name)
        least = min(self._numbers.values())
        if least > self._desk.acknowledged:
            await self._desk.acknowledge(least)

    def _write(self, name: str) -> None:
        with telling(self._folder, "note a position in"):
            self._marks[name].write(self._numbers[name])

    def close(self) -> None:
        """Let go of the files."""
        for marks in self._marks.values():
            marks.close()
