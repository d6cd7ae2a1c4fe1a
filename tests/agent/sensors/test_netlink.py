"""Netlink requests against the kernel, and the reading loop over a plain socket."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time

import pytest
from tests.agent.sensors.conftest import waits

from deodar.agent.sensors.base import Lost
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.netlink import ERROR, NetlinkSensor, listen, message, request

ROUTE = 0


class Echo(NetlinkSensor):
    """Gives back each message as it came."""

    name = "echo"

    def __init__(self, channel):
        super().__init__()
        self.ours = channel
        self.stopped = 0

    def _start(self):
        if self.ours is None:
            raise PermissionError(errno.EPERM, "no")
        self.ours.setblocking(False)
        return self.ours

    def _stop(self):
        self.stopped += 1

    def _convert(self, messages):
        return list(messages)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sensor = Echo(ours)
    sensor.open()
    yield sensor, theirs
    sensor.close()
    theirs.close()


def test_batch_of_what_waits(pair):
    sensor, theirs = pair
    for text in (b"one", b"two"):
        theirs.send(text)
    assert sensor.read(1.0) == [b"one", b"two"]
    assert sensor.counters().received == 2


def test_timeout_gives_an_empty_batch(pair):
    before = time.monotonic()
    assert pair[0].read(0.05) == []
    assert time.monotonic() - before >= 0.05


def test_close_ends_a_read_of_another_thread(pair):
    sensor, _ = pair
    results = []
    reader = threading.Thread(target=lambda: results.append(sensor.read(30.0)))
    reader.start()
    sensor.close()
    reader.join(5)
    assert results == [[]]
    assert sensor.stopped == 1
    sensor.close()
    assert sensor.stopped == 1


def test_overflow_is_loss(pair, monkeypatch):
    sensor, theirs = pair
    theirs.send(b"after")

    class Overflowing:
        fileno = sensor.ours.fileno
        failed = False

        def recv(self, size):
            if not self.failed:
                self.failed = True
                raise OSError(errno.ENOBUFS, "full")
            return sensor.ours.recv(size)

    batch = sensor._fetch(Overflowing())
    assert batch[0] == b"after"
    assert isinstance(batch[1], Lost)
    assert sensor.counters().lost == 1


def test_refusal_undoes_and_explains():
    sensor = Echo(None)
    with pytest.raises(SensorUnavailable, match="echo: no"):
        sensor.open()
    assert sensor.stopped == 1


def test_message_layout():
    assert message(5, b"abcd", 3) == bytes.fromhex("14000000 0500 0300 01000000 00000000") + b"abcd"


def test_request_is_acknowledged_or_raises():
    get_link, no_such = 18, 4000
    answers = request(ROUTE, get_link, bytes(4) + (1).to_bytes(4, "little") + bytes(8))
    assert answers[-1][0] == ERROR
    assert len(answers) == 2
    with pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)):
        request(ROUTE, no_such, bytes(16))


def test_listen_gives_a_socket_that_does_not_block():
    try:
        channel = listen(ROUTE, 1)
    except PermissionError:
        pytest.skip("needs CAP_NET_ADMIN for the size of the buffer")
    with channel, pytest.raises(BlockingIOError):
        channel.recv(10)


def test_interrupt_ends_a_read_and_no_other(pair):
    sensor, _ = pair
    threading.Timer(0.2, sensor.interrupt).start()
    before = time.monotonic()
    assert sensor.read(30.0) == []
    assert time.monotonic() - before < 15
    before = time.monotonic()
    assert sensor.read(0.1) == []
    assert time.monotonic() - before >= 0.1


def test_quiet_reader_sleeps(pair):
    sensor, _ = pair
    sensor.read(0)
    before = waits()
    assert sensor.read(1.0) == []
    assert waits() - before <= 2


def test_losses_are_asked_for_only_after_records(pair, monkeypatch):
    sensor, theirs = pair
    asked = []
    monkeypatch.setattr("deodar.agent.sensors.netlink.LOSS_INTERVAL", 0.0)
    monkeypatch.setattr(sensor, "_count_losses", lambda: asked.append(1))
    for _ in range(3):
        sensor.read(0)
    before = len(asked)
    for _ in range(3):
        sensor.read(0)
    assert len(asked) == before
    theirs.send(b"one")
    sensor.read(1.0)
    assert len(asked) == before + 1


def test_kernel_is_told_before_the_socket_is_closed(pair, monkeypatch):
    sensor, theirs = pair
    monkeypatch.setattr(sensor, "_leave", lambda channel: channel.send(b"bye"))
    sensor.close()
    assert theirs.recv(10) == b"bye"
