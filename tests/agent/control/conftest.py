"""What the tests of the control socket share: a served set of commands, and raw connections."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.control.protocol import Stream, reachable
from deodar.agent.control.server import ControlServer
from deodar.kit.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Commands:
    """Handlers that do what a test needs, and what they saw."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.woken = threading.Event()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def handlers(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        return {
            "echo": lambda arguments: arguments,
            "nothing": lambda _: None,
            "count": lambda arguments: iter(range(arguments["to"])),
            "endless": lambda _: self.endless(),
            "silent": lambda _: self.silent(),
            "refuse": lambda _: self.refuse(),
            "refuse oddly": lambda _: self.refuse("cannot read /srv/\udcff"),
            "refuse silently": lambda _: self.refuse(""),
            "break": lambda _: {}["missing"],
            "break later": lambda _: self.break_later(),
            "disk": lambda _: self.disk(),
            "odd": lambda _: object(),
            "wait": lambda _: self.wait(),
        }

    def endless(self) -> Iterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                time.sleep(0.001)
        finally:
            self.closed.set()

    def silent(self) -> Stream:
        def items() -> Iterator[str]:
            try:
                yield "begin"
                self.begun.set()
                self.woken.wait()
            finally:
                self.closed.set()

        return Stream(items(), self.woken.set)

    def refuse(self, text: str = "that is no good value") -> None:
        raise SettingsError(text)

    def break_later(self) -> Iterator[int]:
        yield 1
        raise SettingsError("broke")

    def disk(self) -> None:
        raise OSError(28, "No space left on device")

    def wait(self) -> str:
        self.begun.set()
        self.go_on.wait(20)
        return "done"


@pytest.fixture
def commands() -> Iterator[Commands]:
    made = Commands()
    yield made
    made.woken.set()
    made.go_on.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def server(path: Path, commands: Commands) -> Iterator[ControlServer]:
    made = ControlServer(path, commands.handlers(), patience=1.0, stream_patience=1.0)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def connected(path: Path) -> Iterator[Callable[[], socket.socket]]:
    made: list[socket.socket] = []

    def connect() -> socket.socket:
        with reachable(path) as short:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connection.connect(str(short))
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def ask(connected: Callable[[], socket.socket]) -> Callable[[bytes], bytes]:
    """Send bytes, and return all that comes back until the other end closes."""

    def send(data: bytes) -> bytes:
        connection = connected()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    return send
