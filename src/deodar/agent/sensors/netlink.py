"""What the two netlink sensors share: sockets, requests, and the loop that reads and decodes.

Message layout as in linux/netlink.h: length, type, flags, sequence number, port; then the payload.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.losses import Loss, Losses
from deodar.agent.sensors.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import Record, SensorCounters

HEADER = struct.Struct("<IHHII")
ERROR = 2  # NLMSG_ERROR: an errno, 0 for "done"
DONE = 3  # NLMSG_DONE: the end of a list
REQUEST, ACK = 1, 4
RECEIVE_BYTES = 32 << 20
MESSAGE_BYTES = 65536
BATCH = 4096
LOSS_INTERVAL = 1.0
IDLE_LOSS_INTERVAL = 30.0
"""Seconds between looks at the kernel's counts of loss: after records, and without any."""
OVERFLOW = Loss("", "the socket's buffer was full; at least this many events")
_SO_RCVBUFFORCE = 33


def listen(protocol: int, groups: int) -> socket.socket:
    """Return a non-blocking socket that is a member of multicast groups (a bit mask).

    Raises OSError.
    """
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
        channel.bind((0, groups))
        channel.setblocking(False)
    except OSError:
        channel.close()
        raise
    return channel


def request(
    protocol: int, kind: int, payload: bytes = b"", *, last: int = ERROR
) -> list[tuple[int, bytes]]:
    """Send one request on a socket of its own; returns the answers as (type, payload).

    `last` is the type of the last answer, or ERROR for requests that are only acknowledged.
    Raises OSError with the kernel's errno, TimeoutError when it does not answer in two seconds.
    """
    answers: list[tuple[int, bytes]] = []
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)) as channel:
        channel.settimeout(2.0)
        channel.sendto(message(kind, payload, REQUEST | (ACK if last == ERROR else 0)), (0, 0))
        while not answers or answers[-1][0] != last:
            data = channel.recv(MESSAGE_BYTES)
            _, answer, _, _, _ = HEADER.unpack_from(data)
            if answer == ERROR:
                _check(struct.unpack_from("<i", data, HEADER.size)[0])
            answers.append((answer, data[HEADER.size :]))
    return answers


def _check(code: int) -> None:
    if code:
        raise OSError(-code, os.strerror(-code))


def message(kind: int, payload: bytes, flags: int = 0) -> bytes:
    """Return one netlink message."""
    return HEADER.pack(HEADER.size + len(payload), kind, flags, 1, 0) + payload


class NetlinkSensor:
    """A sensor that reads messages from a multicast group; others say what they mean."""

    name = ""
    tier = ""

    def __init__(self) -> None:
        self.advice: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self._losses = Losses(self.name)
        self._received = 0
        self._next_look = 0.0
        self._unchecked = False
        """Whether records came since the last look at the losses."""
        self._waker: Waker | None = None

    @property
    def sources(self) -> list[str]:
        """The sensor as a whole."""
        return [self.name]

    def open(self) -> None:
        """Begin to watch; raises SensorUnavailable, having undone what it did, when it cannot."""
        try:
            self._channel = self._start()
        except (OSError, SensorUnavailable) as error:
            self._stop()
            if isinstance(error, OSError):
                raise SensorUnavailable(self._explain(error)) from error
            raise
        self._waker = Waker()

    def read(self, timeout: float) -> list[Record]:
        """Wait up to `timeout` seconds for records; returns a batch, [] on timeout or if closed."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                channel, waker = self._channel, self._waker
                batch = self._fetch(channel) if channel else []
                descriptor = channel.fileno() if channel else -1
            left = deadline - time.monotonic()
            if batch or left <= 0 or waker is None or self._wait(descriptor, waker, left):
                return batch

    def interrupt(self) -> None:
        """Let a `read` that waits, or the next one, return at once."""
        waker = self._waker
        if waker is not None:
            waker.set()

    def counters(self) -> SensorCounters:
        """Totals since `open`."""
        with self._lock:
            if self._channel is not None:
                self._count_losses()
            return self._losses.counters(self._received)

    def close(self) -> None:
        """Stop watching, and put back what `open` changed."""
        with self._lock:
            if self._channel is not None and self._waker is not None:
                self._waker.set()
                self._waker.close()
                self._leave(self._channel)
                self._channel.close()
                self._channel = self._waker = None
                self._stop()

    def _start(self) -> socket.socket:
        """Return the socket to read from; raises OSError or SensorUnavailable."""
        raise NotImplementedError

    def _leave(self, channel: socket.socket) -> None:
        """Tell the kernel on the socket that nobody listens any more; must not raise."""

    def _stop(self) -> None:
        """Undo what `_start` changed, as far as it came; must not raise."""

    def _convert(self, messages: Sequence[bytes]) -> list[Record]:
        """Return the records that some messages complete."""
        raise NotImplementedError

    def _explain(self, error: OSError) -> str:
        """Return why the sensor cannot run, and what would help."""
        return f"{self.name}: {error.strerror or error}"

    def _count_losses(self) -> None:
        """Ask the kernel for its totals of loss; must not raise."""

    def _fetch(self, channel: socket.socket) -> list[Record]:
        batch = self._convert(self._receive(channel))
        self._received += len(batch)
        self._unchecked = self._unchecked or bool(batch)
        now = time.monotonic()
        if now >= self._next_look + (0.0 if self._unchecked else IDLE_LOSS_INTERVAL):
            self._next_look, self._unchecked = now + LOSS_INTERVAL, False
            self._count_losses()
        return batch + self._losses.untold()

    def _receive(self, channel: socket.socket) -> list[bytes]:
        messages: list[bytes] = []
        while len(messages) < BATCH:
            try:
                messages.append(channel.recv(MESSAGE_BYTES))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._losses.add(OVERFLOW)
        return messages

    def _wait(self, descriptor: int, waker: Waker, seconds: float) -> bool:
        """Wait for messages; returns whether another thread wants the reading to be interrupted."""
        poll = select.poll()
        wakes = waker.fileno()
        if wakes < 0:
            return True
        poll.register(descriptor, select.POLLIN)
        poll.register(wakes, select.POLLIN)
        woken = any(ready == wakes for ready, _ in poll.poll(seconds * 1000))
        if woken:
            waker.clear()
        return woken
