"""Importing events from a file: cut into packets at line ends, sent one after another.

An import is a source of its own with a random name, so a packet that has to be repeated is
recognised, and importing a file twice brings its events twice.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from deodar.edr.ingest import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from deodar.edr.ingest import Receipt

CHUNK_EVENTS = 5000
CHUNK_BYTES = 8 << 20
LONGEST_LINE = 4 << 20
EXIT_SOME_DEAD = 4


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file; `first_line` counts from 1."""

    first_line: int
    body: bytes
    lines: int
    too_long: bool = False
    """It is the beginning of one line that is longer than any event may be."""


@dataclass(frozen=True)
class Imported:
    """The sums of an import."""

    lines: int
    events: int
    dead: int


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Cut a file of lines; holds no more than one chunk in memory."""
    gathered: list[bytes] = []
    first, lines, size = 1, 0, 0
    while line := file.readline(LONGEST_LINE + 1):
        long = len(line) > LONGEST_LINE and not line.endswith(b"\n")
        if gathered and (long or size + len(line) > CHUNK_BYTES or lines >= CHUNK_EVENTS):
            yield Chunk(first, b"".join(gathered), lines)
            first, lines, gathered, size = first + lines, 0, [], 0
        if long:
            _skip_line(file)
            yield Chunk(first, line, 1, too_long=True)
            first += 1
            continue
        gathered.append(line)
        lines, size = lines + 1, size + len(line)
    if gathered:
        yield Chunk(first, b"".join(gathered), lines)


async def import_file(
    file: BinaryIO, send: Callable[[Origin, Chunk], Awaitable[Receipt]]
) -> Imported:
    """Send all chunks of a file and return the sums; whatever `send` raises goes through."""
    source = f"import/{uuid.uuid4()}"
    lines = events = dead = 0
    for number, chunk in enumerate(chunks(file), 1):
        receipt = await send(Origin(source, number, first_line=chunk.first_line), chunk)
        lines, events, dead = lines + chunk.lines, events + receipt.events, dead + receipt.dead
    return Imported(lines, events, dead)


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass
