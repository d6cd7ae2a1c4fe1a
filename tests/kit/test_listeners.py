from __future__ import annotations

import os
import socket
import stat

import pytest

from deodar.kit.listeners import ServeError, listening


def test_any_free_port_is_found():
    with listening("127.0.0.1", 0, None) as one, listening("127.0.0.1", 0, None) as two:
        assert one.getsockname()[1] != two.getsockname()[1]


def test_names_and_ipv6_addresses_work():
    with listening("localhost", 0, None) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    with listening("::", 0, None) as listener:
        port = listener.getsockname()[1]
        listener.listen()
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        socket.create_connection(("::1", port), timeout=5).close()


def test_small_answers_are_sent_at_once():
    with listening("127.0.0.1", 0, None) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "1:2:3"])
def test_impossible_addresses_are_told(host):
    with pytest.raises(ServeError, match=f"cannot listen on {host}, port 0: .+; stop what"):
        listening(host, 0, None).__enter__()


@pytest.mark.parametrize("port", [-1, 65_536])
def test_impossible_ports_are_told(port):
    with pytest.raises(ServeError, match=f"{port} is no port"):
        listening("127.0.0.1", port, None).__enter__()


def test_a_unix_socket_is_for_its_owner_and_is_removed(tmp_path):
    path = tmp_path / "control.sock"
    before = os.umask(0)
    try:
        with listening("", 0, path) as listener:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert listener.family == socket.AF_UNIX
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_socket_left_behind_is_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.exists()
    with listening("", 0, path):
        assert path.exists()


def test_a_socket_in_use_is_not_taken(tmp_path):
    path = tmp_path / "s"
    with listening("", 0, path) as listener:
        listener.listen()
        with pytest.raises(ServeError, match="another running program listens"):
            listening("", 0, path).__enter__()
        assert path.exists()


def test_a_file_in_the_way_is_not_removed(tmp_path):
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ServeError, match="is no socket; move it away"):
        listening("", 0, tmp_path / "s").__enter__()
    assert (tmp_path / "s").read_text() == "precious"


def test_a_path_too_long_for_a_socket_is_told(tmp_path):
    with pytest.raises(ServeError, match="longer than 107 bytes; use a state folder"):
        listening("", 0, tmp_path / ("x" * 120)).__enter__()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ServeError, match="cannot make the socket"):
        listening("", 0, tmp_path / "absent" / "s").__enter__()


def test_a_socket_that_another_program_put_there_meanwhile_stays(tmp_path):
    path = tmp_path / "s"
    with listening("", 0, path):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"
