"""The agent's end of the control socket.

One thread waits for connections and for the ends of those that stream; it sleeps while nothing
happens. Each connection has a thread of its own as long as it lasts.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.control.access import Access
from deodar.agent.control.conversation import Conversation, Handler
from deodar.agent.control.protocol import OTHER_ERROR, reachable
from deodar.agent.threads import WatchedThread
from deodar.kit.listeners import listening
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ControlServer", "Handler"]

CONNECTIONS = 16
PATIENCE = 10.0
"""Seconds for a whole request to come, and for a result to be taken."""
STREAM_PATIENCE = 300.0
"""Seconds for one item of a stream to be taken: people stop in the middle of a pager."""
LAST_ANSWERS = 2.0
"""Seconds that a stopping agent gives commands that are at work."""
AFTER_TROUBLE = 1.0

_log = logger("agent.control")


class ControlServer:
    """Serves the handlers to those who may; `group` is a group of accounts, or ""."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        group: str = "",
        *,
        patience: float = PATIENCE,
        stream_patience: float = STREAM_PATIENCE,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._group = group
        self._patience = patience
        self._stream_patience = stream_patience
        self._lock = threading.Lock()
        self._open: dict[int, tuple[socket.socket, Conversation, threading.Thread]] = {}
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._thread: WatchedThread | None = None
        self._bell = -1

    @property
    def failure(self) -> str:
        """What ended the thread that waits for connections; "" while it works."""
        return self._thread.failure if self._thread is not None else ""

    def start(self) -> None:
        """Open the socket in place of one that a killed agent left.

        Raises DeodarError: another agent is there, the group is not, the folder takes none.
        """
        with ExitStack() as stack:
            access = Access(self._group)
            short = stack.enter_context(reachable(self._path))
            listener = stack.enter_context(listening("", 0, short))
            access.open_to_group(self._path)
            listener.listen(CONNECTIONS)
            listener.setblocking(False)
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            stack.callback(os.close, self._bell)
            poll = stack.enter_context(select.epoll())
            poll.register(listener, select.EPOLLIN)
            poll.register(self._bell, select.EPOLLIN)
            self._stack = stack.pop_all()
        self._thread = WatchedThread("control", lambda: self._wait(listener, poll, access))
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, end the streams, wait a moment for commands at work."""
        if self._thread is None or self._stopping.is_set():
            return
        self._stopping.set()
        os.eventfd_write(self._bell, 1)
        self._thread.join()
        with self._lock:
            still_open = list(self._open.values())
        for _, conversation, _ in still_open:
            conversation.hang_up()
        deadline = time.monotonic() + LAST_ANSWERS
        for connection, _, thread in still_open:
            thread.join(0.1)  # a stream that was woken says its last word
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # one that waits for a request
            thread.join(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(max(0.1, deadline - time.monotonic()))
        self._stack.close()

    def _wait(self, listener: socket.socket, poll: select.epoll, access: Access) -> None:
        while not self._stopping.is_set():
            ready = {descriptor for descriptor, _ in poll.poll()}
            # Ends first: a new connection may get the number of one that ended.
            for descriptor in ready - {listener.fileno(), self._bell}:
                self._gone(descriptor, poll)
            if listener.fileno() in ready:
                self._accept(listener, poll, access)

    def _accept(self, listener: socket.socket, poll: select.epoll, access: Access) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # out of descriptors or memory: not for ever
            _log.warning("a connection could not be taken", error=str(error))
            self._stopping.wait(AFTER_TROUBLE)
            return
        refusal = self._refusal(connection, access)
        if refusal:
            _refuse(connection, refusal)
        else:
            self._converse(connection, poll)

    def _refusal(self, connection: socket.socket, access: Access) -> str:
        refusal = access.refusal(connection)
        if refusal:
            _log.warning("a user was refused", reason=refusal)
            return refusal
        with self._lock:
            if len(self._open) >= CONNECTIONS:
                return f"the agent is busy with {CONNECTIONS} commands; try again later"
        return ""

    def _converse(self, connection: socket.socket, poll: select.epoll) -> None:
        conversation = Conversation(
            connection,
            self._handlers,
            patience=self._patience,
            stream_patience=self._stream_patience,
        )
        thread = threading.Thread(
            target=self._run, args=(connection, conversation), name="control-command", daemon=True
        )
        number = connection.fileno()
        with self._lock:
            self._open[number] = (connection, conversation, thread)
        try:
            poll.register(connection, 0)  # only its end is told
            thread.start()
        except (OSError, RuntimeError) as error:  # no memory, no more threads
            _log.warning("a connection could not be served", error=str(error))
            with self._lock:
                del self._open[number]
            connection.close()

    def _run(self, connection: socket.socket, conversation: Conversation) -> None:
        try:
            conversation.run()
        finally:
            with self._lock:
                del self._open[connection.fileno()]
                connection.close()

    def _gone(self, descriptor: int, poll: select.epoll) -> None:
        """The other end closed: wake what may be waiting to tell it more."""
        with self._lock:
            found = self._open.get(descriptor)
            if found is not None:
                poll.unregister(descriptor)
        if found is not None:
            found[1].hang_up()


def _refuse(connection: socket.socket, reason: str) -> None:
    with connection, contextlib.suppress(OSError):
        line = msgspec.json.encode({"error": reason, "code": OTHER_ERROR}) + b"\n"
        connection.send(line, socket.MSG_DONTWAIT)
