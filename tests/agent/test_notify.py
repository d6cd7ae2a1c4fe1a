from __future__ import annotations

import socket
import threading
import uuid
from contextlib import suppress

import pytest

from deodar.agent.notify import ALIVE, READY, starting, tell


def _listen(name: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(name)
    channel.settimeout(5)
    return channel


def test_lines_arrive_as_one_message(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with _listen(str(tmp_path / "notify")) as manager:
        assert tell(READY, "STATUS=watching")
        assert manager.recv(100) == b"READY=1\nSTATUS=watching"


def test_a_socket_in_the_abstract_name_space_is_found(monkeypatch):
    name = f"deodar-{uuid.uuid4().hex}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with _listen(f"\0{name}") as manager:
        assert tell(ALIVE)
        assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("place", [None, "", "vsock:2:1", "/no/such/socket"])
def test_without_a_manager_nothing_happens(place, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if place is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", place)
    assert not tell(READY)


def test_a_manager_that_does_not_read_does_not_hold_the_agent(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with _listen(str(tmp_path / "notify")):
        told = [tell(ALIVE) for _ in range(2000)]
    assert told[0]
    assert not told[-1]


def test_a_long_start_asks_for_more_time_until_it_is_over(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with _listen(str(tmp_path / "notify")) as manager:
        with starting(every=0.05):
            asked = [manager.recv(100) for _ in range(3)]
        manager.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                manager.recv(100)
        assert not [t for t in threading.enumerate() if t.name == "starting"]
    assert asked == [b"EXTEND_TIMEOUT_USEC=60000000"] * 3
