"""A dead letter as it is listed: with the beginning of its text, in the words of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deodar.columnar.dead_letters import StoredLetter

_SHOWN = 60


@dataclass(frozen=True)
class Row:
    """A dead letter as it is listed; `line` counts from 1 within the packet or the file."""

    id: str
    time_us: int
    source: str
    line: int
    reason: str
    path: str
    size: int
    text: str


def row(stored: StoredLetter) -> Row:
    """Return the row of a stored letter."""
    letter = stored.letter
    text = letter.raw[:_SHOWN].decode("utf-8", "replace")
    return Row(
        id=stored.id,
        time_us=stored.time,
        source=letter.source,
        line=letter.index,
        reason=letter.reason,
        path=letter.path,
        size=len(letter.raw),
        text=text + "…" * (len(letter.raw) > _SHOWN),
    )
