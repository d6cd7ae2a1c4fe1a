from __future__ import annotations

import socket

import pytest

from deodar.demo.errors import DemoError
from deodar.demo.stack import HOST, Ports, Stack, attempts, deodar, free_port


def test_a_wanted_port_is_kept_when_it_is_free():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_a_command_that_fails_is_reported_without_its_arguments(tmp_path):
    with pytest.raises(DemoError, match=r"deodar edr run ended with 3: .*no folder") as caught:
        deodar("edr", "run", "--dir", tmp_path / "absent")
    assert "--dir" not in str(caught.value).partition(":")[0]


def test_a_command_that_takes_too_long_is_ended():
    with pytest.raises(DemoError, match="took over"):
        deodar("--help", limit=0.01)


def test_attempts_end_after_their_limit():
    assert 2 <= len(list(attempts(0.1, pause=0.02))) <= 6
    assert len(list(attempts(0, pause=0))) == 1


def test_the_servers_start_on_free_ports_and_end(tmp_path):
    stack = Stack(tmp_path, Ports(edr=0, core=0))
    try:
        url = stack.start_edr()["url"]
        stack.start_core(url)
        stack.start_collector()
        assert stack.accept_collector()
        assert stack.search("SELECT count() AS events FROM events") == [{"events": 0}]
    finally:
        stack.close()
    assert not any(child.alive for child in stack.children.values())
