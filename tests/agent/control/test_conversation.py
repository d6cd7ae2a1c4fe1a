from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.control.protocol import REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agent.control.conftest import Commands

    from deodar.agent.control.server import ControlServer

pytestmark = pytest.mark.usefixtures("server")


def request(call: str, **arguments: Any) -> bytes:
    return json.dumps({"call": call, "arguments": arguments}).encode() + b"\n"


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_result_is_one_line(ask: Callable[[bytes], bytes]) -> None:
    assert ask(request("echo", a=1)) == b'{"result":{"a":1}}\n'
    assert ask(b'{"call":"nothing"}') == b'{"result":null}\n'  # as `nc -N` sends it


def test_items_come_before_the_result(ask: Callable[[bytes], bytes]) -> None:
    answer = lines(ask(request("count", to=2)))
    assert answer == [{"item": 0}, {"item": 1}, {"result": None}]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"garbage\n", "not understood"),
        (b"\xff\xfe\0\n", "not understood"),
        (b"[]\n", "not understood"),
        (b'{"call": "echo"', "not understood"),
        (b'{"call": "echo", "arguments": 1}\n', "not understood"),
        (b'{"call": "echo", "arguments": {"a": ' + b"[" * 100_000 + b"\n", "not understood"),
        (request("ecoh"), "knows no command 'ecoh'; did you mean echo?"),
        (request("x" * 1000), f"knows no command '{'x' * 64}'"),
    ],
)
def test_what_is_no_request_is_said_so(
    data: bytes, text: str, ask: Callable[[bytes], bytes]
) -> None:
    (answer,) = lines(ask(data))
    assert text in answer["error"]
    assert answer["code"] == 65


def test_a_request_that_is_too_long_is_refused(connected: Callable[[], socket.socket]) -> None:
    connection = connected()
    piece, sent = b"x" * 65536, 0
    try:
        while sent <= REQUEST_BYTES + len(piece):
            sent += connection.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert b"longer than 8388608 bytes" in connection.recv(65536)


def test_half_a_request_and_then_silence_is_cut(connected: Callable[[], socket.socket]) -> None:
    connection = connected()
    connection.sendall(b'{"call": ')
    begin = time.monotonic()
    assert b"no whole request came in 1 seconds" in connection.recv(65536)
    assert connection.recv(1) == b""
    assert 0.8 < time.monotonic() - begin < 5


def test_a_connection_that_says_nothing_gets_no_answer(ask: Callable[[bytes], bytes]) -> None:
    assert ask(b"") == b""
    assert ask(b"\n") == b""


def test_errors_for_people_keep_their_code(ask: Callable[[bytes], bytes]) -> None:
    assert lines(ask(request("refuse"))) == [{"error": "that is no good value", "code": 2}]
    assert lines(ask(request("refuse oddly")))[0]["error"] == "cannot read /srv/?"
    assert lines(ask(request("refuse silently")))[0]["error"] == "SettingsError"
    assert lines(ask(request("break later"))) == [{"item": 1}, {"error": "broke", "code": 2}]


@pytest.mark.parametrize(
    ("call", "kind"), [("break", "KeyError"), ("disk", "OSError"), ("odd", "TypeError")]
)
def test_faults_of_a_command_are_logged_and_said(
    call: str, kind: str, ask: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    (answer,) = lines(ask(request(call)))
    assert answer == {"error": f"the agent could not do {call} ({kind}); see its log", "code": 65}
    captured = capsys.readouterr()
    assert "a command failed" in captured.out + captured.err
    assert ask(request("echo")) == b'{"result":{}}\n'


def test_a_stream_ends_when_its_reader_goes(
    connected: Callable[[], socket.socket], commands: Commands
) -> None:
    connection = connected()
    connection.sendall(request("endless"))
    assert connection.recv(10)
    connection.close()
    assert commands.closed.wait(5)


def test_a_silent_stream_is_woken_when_its_reader_goes(
    connected: Callable[[], socket.socket], commands: Commands
) -> None:
    connection = connected()
    connection.sendall(request("silent"))
    assert connection.recv(100) == b'{"item":"begin"}\n'
    assert commands.begun.wait(5)
    assert not commands.woken.is_set()
    connection.close()
    assert commands.closed.wait(5)
    assert commands.woken.is_set()


def test_a_reader_that_only_closed_its_writing_end_is_still_there(
    connected: Callable[[], socket.socket], commands: Commands
) -> None:
    connection = connected()
    connection.sendall(request("silent"))
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(100) == b'{"item":"begin"}\n'
    assert commands.begun.wait(5)
    assert not commands.woken.wait(0.3)
    commands.woken.set()
    assert connection.recv(100) == b'{"result":null}\n'


def test_a_reader_that_takes_nothing_is_cut(
    connected: Callable[[], socket.socket], commands: Commands, server: ControlServer
) -> None:
    connection = connected()
    connection.sendall(request("count", to=10_000_000))
    slow = connected()
    slow.sendall(request("endless"))
    time.sleep(0.2)
    deadline = time.monotonic() + 10
    while len(server._open) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
