"""From what processes read at terminals and pipes to lines, and to scripts that came by a pipe.

Every process that reads at a terminal is followed by itself: a shell, a client of a database, ssh.
What is told of one is bounded by the minute; the rest is counted, and told with the next line.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deodar.agent.gather.interpreters import script_of
from deodar.agent.gather.line_editor import LINE_BYTES, LineEditor
from deodar.agent.gather.scripts import CONTENT_BYTES, of_content
from deodar.agent.sensors.acts import ConsoleInput, ConsoleLine
from deodar.agent.sensors.base import Exec, Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.gather.line_editor import Line
    from deodar.agent.sensors.base import ProcessKey, Record

MINUTE = 60.0
MINUTE_BYTES = 65536
"""What is told of one process in a minute."""
PATIENCE = 300.0
"""Seconds after which a line that was begun is told although nobody entered it."""
PIPE_PATIENCE = 10.0
"""Seconds after which what came through a pipe is told although its end has not come."""
MOST = 1024
"""Inputs that are followed at once."""
SECRETIVE = frozenset(
    (
        *("sudo", "su", "doas", "pkexec", "runuser", "passwd", "login", "cryptsetup", "gpg-agent"),
        *("pinentry", "pinentry-curses", "systemd-ask-password", "systemd-tty-ask-password-agent"),
    )
)
"""Programs that read passwords key by key, and show stars for them: those keys are not told."""


@dataclass(slots=True)
class _Input:
    """What one process reads at one place."""

    first: ConsoleInput
    """The record that what is held began with."""
    editor: LineEditor = field(default_factory=LineEditor)
    content: bytearray = field(default_factory=bytearray)
    """Of a pipe: its beginning."""
    size: int = 0
    """Of a pipe: how much came."""
    since: float = 0.0
    last: float = 0.0
    minute: float = float("-inf")
    told: int = 0
    dropped: int = 0

    @property
    def holds(self) -> bool:
        return self.size > 0 or self.editor.has_text or self.dropped > 0


_Place = tuple["ProcessKey", str, str]


class Consoles:
    """Makes lines of what is read at consoles."""

    takes: tuple[type[Any], ...] = (ConsoleInput,)
    sees: tuple[type[Any], ...] = (Exec, Exit)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._inputs: OrderedDict[_Place, _Input] = OrderedDict()
        self._places: dict[ProcessKey, list[_Place]] = {}
        self._runners: OrderedDict[ProcessKey, None] = OrderedDict()
        """Interpreters that run their standard input; what others read there is data."""

    @property
    def waiting(self) -> int:
        """How many inputs have begun something."""
        return sum(one.holds for one in self._inputs.values())

    def take(self, record: ConsoleInput) -> Sequence[Record]:
        """Return the lines that a read completes."""
        if self._is_of_no_interest(record):
            return ()
        place = (record.key, record.source, record.name)
        one = self._inputs.get(place)
        early: list[Record] = []
        if one is None:
            one = self._inputs[place] = _Input(record)
            self._places.setdefault(record.key, []).append(place)
            if len(self._inputs) > MOST:
                early = self._end(next(iter(self._inputs)))
        self._inputs.move_to_end(place)
        one.last = time.monotonic()
        if not one.holds:
            one.first, one.since = record, one.last
        one.dropped += record.untold
        if record.source == "pipe":
            return [*early, *self._take_of_pipe(place, one, record)]
        data = self._within_budget(one, record.data)
        lines = one.editor.feed(data, cooked=record.cooked or record.source == "socket")
        if record.end:
            return [*early, *_lines(one, lines), *self._end(place)]
        return [*early, *_lines(one, lines)]

    def see(self, record: Any) -> Sequence[Record]:
        """Return what a process held that ends, or runs another program."""
        found: list[Record] = []
        if self._places or self._runners:
            places = tuple(self._places.get(record.key, ()))
            found = [one for place in places for one in self._end(place)]
            self._runners.pop(record.key, None)
        if isinstance(record, Exec):
            script = script_of(record)
            if script is not None and script.kind == "stdin":
                self._runners[record.key] = None
                if len(self._runners) > MOST:
                    self._runners.popitem(last=False)
        return found

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return what nobody entered in a long time."""
        found: list[Record] = []
        for place, one in list(self._inputs.items()):
            waited = now - (one.since if place[1] == "pipe" else one.last)
            if last or waited > (PIPE_PATIENCE if place[1] == "pipe" else PATIENCE):
                found += self._end(place)
        return found

    def _is_of_no_interest(self, record: ConsoleInput) -> bool:
        if record.source != "tty":
            return record.key not in self._runners
        if record.cooked:
            return False
        process = self._context.processes.find(record.key)
        return process is not None and process.image.exe.rpartition("/")[2] in SECRETIVE

    def _take_of_pipe(self, place: _Place, one: _Input, record: ConsoleInput) -> Sequence[Record]:
        one.content += record.data[: CONTENT_BYTES - len(one.content)]
        one.size += len(record.data) + record.untold
        one.dropped = 0
        return self._end(place) if record.end else ()

    def _within_budget(self, one: _Input, data: bytes) -> bytes:
        if one.last - one.minute >= MINUTE:
            one.minute, one.told = one.last, 0
        kept = data[: MINUTE_BYTES - one.told]
        one.told += len(kept)
        one.dropped += len(data) - len(kept)
        return kept

    def _end(self, place: _Place) -> list[Record]:
        """Forget an input, and return what it held."""
        one = self._inputs.pop(place)
        places = self._places[place[0]]
        places.remove(place)
        if not places:
            del self._places[place[0]]
        if place[1] == "pipe":
            return _of_pipe(one) if one.size else []
        lines = _lines(one, one.editor.flush())
        if one.dropped:
            lines.append(_line(one, b"", truncated=True))
        return lines


def _lines(one: _Input, lines: Sequence[Line]) -> list[Record]:
    return [_line(one, line.text, truncated=line.truncated) for line in lines]


def _line(one: _Input, text: bytes, *, truncated: bool) -> ConsoleLine:
    record, dropped = one.first, one.dropped
    one.dropped = 0
    return ConsoleLine(
        record.time_ns, record.key, record.source, record.name, text, truncated, dropped
    )


def _of_pipe(one: _Input) -> list[Record]:
    """Return both what was put in and the script that it is."""
    record, content = one.first, bytes(one.content)
    text = content[:LINE_BYTES]
    left = one.size - len(text)
    line = ConsoleLine(record.time_ns, record.key, "pipe", "", text, left > 0, left)
    return [line, of_content(record, content, one.size)]
