"""The command line's end of the control socket."""

from __future__ import annotations

import contextlib
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.control.errors import ControlError, ControlRefused, NotRunning
from deodar.agent.control.protocol import (
    ANSWER_BYTES,
    OTHER_ERROR,
    REQUEST_BYTES,
    Answer,
    LineReader,
    Request,
    TooLong,
    reachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ControlClient", "ControlError", "ControlRefused", "NotRunning"]

PATIENCE = 60.0
CONNECT = 10.0


class ControlClient:
    """Asks the agent whose socket is at `path`; `patience` is how long a result may take (s)."""

    def __init__(self, path: Path, *, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience

    def call(self, name: str, **arguments: Any) -> Any:
        """Return the result of a command.

        Raises NotRunning when no agent listens, ControlRefused with the agent's own text and exit
        code when it says no, ControlError when its answer does not come or is not understood.
        """
        with self._asked(name, arguments) as reader:
            while True:
                answer = self._answer(reader, self._patience)
                if answer.item is msgspec.UNSET:
                    return answer.result

    def stream(self, name: str, **arguments: Any) -> Iterator[Any]:
        """Yield the items of a command as they come, for as long as it takes.

        Raises as `call` does. Closing the iterator ends the command.
        """
        with self._asked(name, arguments) as reader:
            while (answer := self._answer(reader, None)).item is not msgspec.UNSET:
                yield answer.item

    @contextmanager
    def _asked(self, name: str, arguments: dict[str, Any]) -> Iterator[LineReader]:
        line = msgspec.json.encode(Request(name, arguments)) + b"\n"
        if len(line) > REQUEST_BYTES:
            raise ControlError(f"the request is longer than {REQUEST_BYTES} bytes")
        with socket.socket(socket.AF_UNIX) as connection:
            self._connect(connection)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(line)  # an agent that refuses says why, and does not listen
            yield LineReader(connection, ANSWER_BYTES)

    def _connect(self, connection: socket.socket) -> None:
        connection.settimeout(CONNECT)
        try:
            with reachable(self._path) as short:
                connection.connect(str(short))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunning(self._how_to_start()) from error
        except PermissionError as error:
            raise ControlRefused(
                OTHER_ERROR,
                f"no access to {self._path}; be root, or a member of the group that agent.toml "
                "names under [control]",
            ) from error
        except OSError as error:
            raise ControlError(f"cannot reach the agent at {self._path}: {error}") from error

    def _how_to_start(self) -> str:
        folder = self._path.parent
        return (
            f"no agent runs in {folder}; start it with: systemctl start deodar-agent, "
            f"or: deodar agent run --dir {folder}"
        )

    def _answer(self, reader: LineReader, seconds: float | None) -> Answer:
        try:
            line = reader.line(seconds)
        except TimeoutError:
            raise ControlError(
                f"the agent has not answered in {self._patience:g} seconds; it may still do it"
            ) from None
        except ConnectionResetError:
            line = b""
        except (TooLong, OSError) as error:
            raise ControlError(f"the agent's answer broke off: {error or 'too long'}") from error
        if not line:
            raise ControlError("the agent ended the conversation without an answer; see its log")
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError as error:
            raise ControlError(f"the agent's answer is not understood: {error}") from error
        if answer.error:
            raise ControlRefused(answer.code, answer.error)
        if answer.item is msgspec.UNSET and answer.result is msgspec.UNSET:
            raise ControlError("the agent's answer is not understood: it says nothing")
        return answer
