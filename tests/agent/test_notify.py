from __future__ import annotations

import socket
import uuid

import pytest

from deodar.agent.notify import ALIVE, READY, tell


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
