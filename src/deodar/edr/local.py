"""Commands' way to the running server: HTTP over the socket in its folder."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from deodar.edr.errors import ControlError
from deodar.edr.ingest import Receipt

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.edr.importer import Chunk
    from deodar.edr.ingest import Origin

_TIMEOUT = 60.0
_TRIES = 30
_BUSY = 503


class LocalServer:
    """The server that runs in a folder."""

    def __init__(self, path: Path) -> None:
        """`path` is the socket's."""
        self._path = path

    def answers(self) -> bool:
        """Whether a server is there."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self._path))
            except OSError:
                return False
            return True

    def get(self, target: str) -> bytes:
        """Return the body of an answer; raises ControlError when it is none or an error."""
        status, body = self._ask("GET", target, None)
        if status != http.client.OK:
            raise ControlError(f"the running server refused {target}: {_reason(body)}")
        return body

    async def send(self, origin: Origin, chunk: Chunk) -> Receipt:
        """Send one part of an import, again while the server is busy.

        Returns the receipt. Raises ControlError.
        """
        return await asyncio.to_thread(self._send, origin, chunk)

    def _send(self, origin: Origin, chunk: Chunk) -> Receipt:
        given = {"source": origin.source, "packet": origin.number, "first_line": chunk.first_line}
        target = "/import?" + urlencode({**given, "too_long": int(chunk.too_long)})
        for _ in range(_TRIES):
            status, body = self._ask("POST", target, chunk.body)
            if status == http.client.OK:
                return msgspec.json.decode(body, type=Receipt)
            if status != _BUSY:
                break
            time.sleep(1)
        raise ControlError(
            f"the import ended before line {chunk.first_line}: the server says: {_reason(body)}"
        )

    def _ask(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ControlError(f"the running server at {self._path} fails: {reason}") from error
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _reason(body: bytes) -> str:
    try:
        decoded: Any = msgspec.json.decode(body)
        return str(decoded["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
