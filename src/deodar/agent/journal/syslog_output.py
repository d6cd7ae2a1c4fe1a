"""The agent's own events as lines for the system's log daemon.

The socket is used without waiting: a daemon that hangs must not stop the agent, as it would through
the C library's syslog(). Form of the line: what that function writes (RFC 3164 without a host).
"""

from __future__ import annotations

import json
import os
import re
import socket
import syslog
import threading
import time
from typing import TYPE_CHECKING

from deodar.agent.journal.record import to_lines
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from deodar.agent.journal.record import Record

ADDRESS = "/dev/log"
NAME = "deodar-agent"
MAXIMUM_BYTES = 8000

_PRIORITIES = {"Warning": syslog.LOG_WARNING, "Critical": syslog.LOG_CRIT}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLAIN = re.compile(r"[^\s\"]*")

_log = logger("agent.journal.syslog")


class SyslogOutput:
    """Sends one line for each record; for any thread. `lost` counts what was not taken."""

    def __init__(self, address: str = ADDRESS) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_well = True
        self.lost = 0

    def send(self, record: Record) -> None:
        """Send a record; one that cannot be sent at once is counted as lost."""
        data = line_of(record)
        with self._lock:
            try:
                self._send(data)
            except OSError as error:
                self._failed(error)
            else:
                self._is_well = True

    def close(self) -> None:
        """Leave the daemon; the next `send` comes back to it."""
        with self._lock:
            self._drop()

    def _send(self, data: bytes) -> None:
        """Send, on a new socket if the daemon was started again meanwhile."""
        if self._socket is not None:
            try:
                self._socket.send(data)
            except (ConnectionError, FileNotFoundError):
                self._drop()
            else:
                return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.connect(self._address)
        self._socket.send(data)

    def _failed(self, error: OSError) -> None:
        self.lost += 1
        if not isinstance(error, BlockingIOError):
            self._drop()
        if self._is_well:
            _log.warning("events do not reach syslog", address=self._address, error=str(error))
        self._is_well = False

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def line_of(record: Record) -> bytes:
    """Return the line of a record; texts with blanks or quotes are in quotes."""
    priority = syslog.LOG_DAEMON | _PRIORITIES.get(record.danger_level, syslog.LOG_INFO)
    then = time.localtime(record.date)
    stamp = f"{_MONTHS[then.tm_mon - 1]} {then.tm_mday:2d} {time.strftime('%H:%M:%S', then)}"
    pairs = (line.partition("=") for line in to_lines(record))
    text = " ".join(f"{name}={_quoted(value)}" for name, _, value in pairs)
    line = f"<{priority}>{stamp} {NAME}[{os.getpid()}]: {text}".encode()
    return line[:MAXIMUM_BYTES].decode("utf-8", "ignore").encode()


def _quoted(text: str) -> str:
    return text if text and _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
