"""What goes over the control socket: one request line, then answer lines, all JSON.

Request: ``{"call": name, "arguments": {…}}``. Answer: any number of ``{"item": …}``, then either
``{"result": …}`` or ``{"error": text, "code": exit code}``. One request for each connection.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

REQUEST_BYTES = 8 << 20
ANSWER_BYTES = 64 << 20
PATH_BYTES = 107
"""What a unix socket's address can hold (sockaddr_un, less the final NUL)."""
PIECE = 65_536
NOT_RUNNING = 64
OTHER_ERROR = 65
"""Exit codes of KESL; see `deodar.tasks.codes`."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request."""

    call: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an answer; the last one has no item."""

    item: Any = msgspec.UNSET
    result: Any = msgspec.UNSET
    error: str = ""
    code: int = OTHER_ERROR


@dataclass(frozen=True)
class Stream:
    """Items that may come for a long time, and what wakes the one who waits for the next.

    `close` is called from another thread when nobody listens any more; the iterator has to end
    then.
    """

    items: Iterator[Any]
    close: Callable[[], None]


class TooLong(Exception):  # noqa: N818 - internal, each side says it in its own words
    """A line is longer than its bound."""


class LineReader:
    """Reads lines of bounded length from a socket."""

    def __init__(self, connection: socket.socket, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._rest = bytearray()

    def line(self, seconds: float | None) -> bytes:
        """Return the next line without its end; what came before the end, if the peer ends first.

        Raises TooLong; TimeoutError when it is not there after so many seconds; OSError.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        searched = 0
        while (end := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            if searched > self._limit:
                raise TooLong
            self._connection.settimeout(_left(deadline))
            piece = self._connection.recv(PIECE)
            if not piece:
                end = len(self._rest)
                break
            self._rest += piece
        if end > self._limit:
            raise TooLong
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line


@contextmanager
def reachable(path: Path) -> Iterator[Path]:
    """Give a path to the same socket that is short enough for a socket's address."""
    if len(os.fsencode(path)) <= PATH_BYTES:
        yield path
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield type(path)(f"/proc/self/fd/{folder}") / path.name
    finally:
        os.close(folder)


def _left(deadline: float | None) -> float | None:
    """Return the seconds until the deadline; raises TimeoutError when it is over."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
