from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from deodar.agent.control.client import ControlClient, ControlError, ControlRefused, NotRunning
from deodar.agent.control.protocol import REQUEST_BYTES
from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.agent.control.conftest import Commands

    from deodar.agent.control.server import ControlServer


@pytest.fixture
def answering(path: Path) -> Iterator[Callable[[bytes], None]]:
    """A peer that takes one request, answers with these bytes, and closes."""
    listener = socket.socket(socket.AF_UNIX)

    def answer(data: bytes, stay: threading.Event | None = None) -> None:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(data)
                if stay is not None:
                    stay.wait(20)

        threading.Thread(target=serve, daemon=True).start()

    yield answer
    listener.close()


def test_a_result_comes_as_it_is(server: ControlServer, path: Path) -> None:
    client = ControlClient(path)
    values = {"names": ["a", "ä"], "number": 1.5, "none": None}
    assert client.call("echo", **values) == values
    assert client.call("nothing") is None
    assert client.call("count", to=3) is None  # items of a call are passed over


def test_items_come_as_they_are_made(server: ControlServer, path: Path) -> None:
    client = ControlClient(path)
    assert list(client.stream("count", to=5000)) == list(range(5000))
    assert list(client.stream("count", to=0)) == []


def test_closing_a_stream_ends_the_command(
    server: ControlServer, path: Path, commands: Commands
) -> None:
    items = ControlClient(path).stream("endless")
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert commands.closed.wait(5)


def test_the_agent_s_own_words_and_exit_code(server: ControlServer, path: Path) -> None:
    client = ControlClient(path)
    with pytest.raises(ControlRefused, match=r"^that is no good value$") as caught:
        client.call("refuse")
    assert (caught.value.code, caught.value.exit_code) == (2, 2)
    items = client.stream("break later")
    assert next(items) == 1
    with pytest.raises(ControlRefused, match="broke"):
        next(items)


def test_no_agent_is_told_with_what_to_do(path: Path) -> None:
    with pytest.raises(NotRunning, match="start it with: systemctl start deodar-agent") as caught:
        ControlClient(path).call("echo")
    assert caught.value.exit_code == 64
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(NotRunning, match=f"deodar agent run --dir {path.parent}"):
        list(ControlClient(path).stream("echo"))
    with pytest.raises(NotRunning):
        ControlClient(path / "deeper").call("echo")


def test_a_path_that_is_no_socket_is_an_error_and_not_a_stopped_agent(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300)
    with pytest.raises(ControlError, match="cannot reach the agent") as caught:
        ControlClient(path).call("echo")
    assert not isinstance(caught.value, NotRunning)
    assert caught.value.exit_code == 65


def test_an_answer_that_takes_too_long(
    server: ControlServer, path: Path, commands: Commands
) -> None:
    with pytest.raises(ControlError, match=r"has not answered in 0\.2 seconds"):
        ControlClient(path, patience=0.2).call("wait")
    commands.go_on.set()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "ended the conversation without an answer"),
        (b'{"resu', "not understood"),
        (b"nonsense\n", "not understood"),
        (b"{}\n", "it says nothing"),
        (b'{"result": 1, "other": 2}\n', "not understood"),
        (b'{"item": 1}\n', "ended the conversation"),
    ],
)
def test_answers_that_are_none(
    data: bytes, text: str, path: Path, answering: Callable[[bytes], None]
) -> None:
    answering(data)
    with pytest.raises(ControlError, match=text):
        ControlClient(path).call("echo")


def test_a_request_that_is_too_long_is_not_sent(server: ControlServer, path: Path) -> None:
    with pytest.raises(ControlError, match=f"longer than {REQUEST_BYTES} bytes"):
        ControlClient(path).call("echo", text="x" * REQUEST_BYTES)
    text = "x" * (REQUEST_BYTES - 100)
    assert ControlClient(path).call("echo", text=text) == {"text": text}


def test_every_error_is_one_for_people() -> None:
    for kind in (ControlError, ControlRefused, NotRunning):
        assert issubclass(kind, DeodarError)
