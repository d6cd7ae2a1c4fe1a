"""One connection to the control socket: read the request, run its handler, write the answer."""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.control.protocol import (
    NOT_RUNNING,
    OTHER_ERROR,
    REQUEST_BYTES,
    LineReader,
    Request,
    Stream,
    TooLong,
)
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    import socket

Handler = Callable[[dict[str, Any]], Any]
"""Takes the arguments; returns the result, or an iterator or Stream of items. Raises DeodarError
for what people are told; anything else is a fault of the agent."""

_log = logger("agent.control")


class Gone(Exception):  # noqa: N818 - a state of the other end
    """The other end listens no more."""


class Conversation:
    """One connection; `run` in a thread of its own, `hang_up` from any."""

    def __init__(
        self,
        connection: socket.socket,
        handlers: Mapping[str, Handler],
        *,
        patience: float,
        stream_patience: float,
    ) -> None:
        self._connection = connection
        self._handlers = handlers
        self._patience = patience
        self._stream_patience = stream_patience
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None
        self._is_over = False

    def run(self) -> None:
        """Answer the request; never raises."""
        with contextlib.suppress(Gone, OSError):
            self._answer()

    def hang_up(self) -> None:
        """End it: nobody listens any more, or the agent stops. A stream that waits is woken."""
        with self._lock:
            self._is_over = True
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def _answer(self) -> None:
        try:
            request = self._read()
            handler = self._handler(request.call)
        except DeodarError as error:
            self._say_error(error)
            return
        try:
            self._run_handler(request, handler)
        except DeodarError as error:
            self._say_error(error)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - one faulty command must not look like silence
            _log.exception("a command failed", call=request.call)
            text = f"the agent could not do {request.call} ({type(error).__name__}); see its log"
            self._say({"error": text, "code": OTHER_ERROR})

    def _read(self) -> Request:
        try:
            line = LineReader(self._connection, REQUEST_BYTES).line(self._patience)
        except TooLong:
            raise _Refused(f"the request is longer than {REQUEST_BYTES} bytes") from None
        except TimeoutError:
            raise _Refused(f"no whole request came in {self._patience:g} seconds") from None
        if not line:
            raise Gone
        try:
            return msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as error:
            raise _Refused(f"the request is not understood: {error}") from error
        except RecursionError:
            raise _Refused("the request is not understood: too deep") from None

    def _handler(self, name: str) -> Handler:
        handler = self._handlers.get(name)
        if handler is None:
            near = difflib.get_close_matches(name[:64], self._handlers, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise _Refused(f"this agent knows no command {name[:64]!r}{hint}")
        return handler

    def _run_handler(self, request: Request, handler: Handler) -> None:
        found = handler(request.arguments)
        if isinstance(found, Stream):
            self._stream(found.items, found.close)
        elif isinstance(found, Iterator):
            self._stream(found, None)
        else:
            self._say({"result": found})

    def _stream(self, items: Iterator[Any], wake: Callable[[], None] | None) -> None:
        with self._lock:
            self._wake = wake
        try:
            self._send_items(items)
        finally:
            with self._lock:
                self._wake = None
            if wake is not None:
                wake()
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _send_items(self, items: Iterator[Any]) -> None:
        while not self._is_over:
            item = next(items, _END)
            if item is _END:
                break
            self._say({"item": item}, self._stream_patience)
        if self._is_over:
            raise _Stopped
        self._say({"result": None})

    def _say_error(self, error: DeodarError) -> None:
        text = str(error) or type(error).__name__
        sayable = text.encode("utf-8", "replace").decode()  # a path in it may be no UTF-8
        self._say({"error": sayable, "code": error.exit_code})

    def _say(self, values: dict[str, Any], seconds: float | None = None) -> None:
        """Send one line; raises Gone when it is not taken in time."""
        line = msgspec.json.encode(values) + b"\n"
        self._connection.settimeout(self._patience if seconds is None else seconds)
        try:
            self._connection.sendall(line)
        except OSError as error:
            raise Gone from error


class _Refused(DeodarError):  # noqa: N818 - what the other end did
    """A request that no handler gets."""

    exit_code = OTHER_ERROR


class _Stopped(DeodarError):  # noqa: N818 - a state of the agent
    """A stream ends before its end."""

    exit_code = NOT_RUNNING

    def __init__(self) -> None:
        super().__init__("the agent was stopped")


_END = object()
