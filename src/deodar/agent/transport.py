"""HTTPS requests to one server, one after another, over a connection that is kept open.

A request has one time limit for all of it, from the first byte sent to the last byte read. Answers
are read up to a bound; nothing is followed elsewhere.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING

from deodar import __version__
from deodar.agent.answers import Answer, NoAnswer, Trouble
from deodar.agent.dial import Deadline, client_certificate_refused, dial, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import WriteableBuffer

    from deodar.agent.proxy import Proxy

LARGEST_ANSWER = 64 * 1024
MOST_HEADERS = 100
"""As in http.client, whose own bound other libraries raise for the whole process."""
KEPT_FOR = 60.0
"""Seconds that a connection is kept open without a request."""

_BROKEN = (OSError, http.client.HTTPException, ValueError)


class Transport:
    """The way to one server. For one thread; only `abort` is for others."""

    def __init__(
        self,
        server: tuple[str, int],
        context: ssl.SSLContext,
        proxy: Proxy | None = None,
        *,
        connection_timeout: float = 10.0,
        request_timeout: float = 10.0,
    ) -> None:
        self._server = server
        self._timeout = request_timeout
        self._dial: Callable[[], ssl.SSLSocket] = lambda: dial(
            server, context, proxy, connection_timeout
        )
        self._link: ssl.SSLSocket | None = None
        self._used = 0.0

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """Return the server's answer, its body cut after `largest` bytes; raises NoAnswer."""
        if self._link is not None and self._is_stale(self._link):
            self.close()
        reused = self._link is not None
        while True:
            if self._link is None:
                self._link = self._dial()
            line = _Line(self._link, Deadline(self._timeout))
            try:
                answer, whole = self._exchange(line, method, path, body, headers or {}, largest)
            except _BROKEN as error:
                self.close()
                if reused and line.sent == 0 and not isinstance(error, TimeoutError):
                    reused = False  # it was closed just now, and the server has seen nothing
                    continue
                raise self._no_answer(error, line, len(body or b"")) from None
            except NoAnswer:
                self.close()
                raise
            self._used = time.monotonic()
            if not whole:
                self.close()
            return answer

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(OSError):
                link.close()

    def abort(self) -> None:
        """Break off a request that is under way in another thread."""
        link = self._link
        if link is not None:
            with contextlib.suppress(OSError):
                # The method of the class below: that of TLS would change what the thread works on.
                socket.socket.shutdown(link, socket.SHUT_RDWR)

    def _exchange(
        self,
        line: _Line,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        largest: int,
    ) -> tuple[Answer, bool]:
        """Return the answer, and whether the connection can be used again."""
        connection = http.client.HTTPConnection(*self._server)
        connection.sock = line
        agent = {"User-Agent": f"deodar-agent/{__version__}"}
        try:
            connection.request(method, path, body, {**agent, **headers})
        except TimeoutError:
            raise
        except OSError as error:
            response = _early(connection, line, error)
        else:
            response = connection.getresponse()
        if len(response.headers) > MOST_HEADERS:
            raise http.client.HTTPException(f"more than {MOST_HEADERS} headers")
        text = response.read(largest + 1)
        if len(text) <= largest and response.length:
            raise NoAnswer("the server's answer broke off in the middle", Trouble.WRONG_ANSWER)
        whole = response.isclosed() and not response.will_close and not line.failed
        answer = Answer(response.status, text, _seconds(response.headers.get("Retry-After")))
        response.close()
        return answer, whole

    def _is_stale(self, link: ssl.SSLSocket) -> bool:
        """Whether the server has closed the connection, or said something that nobody asked."""
        if time.monotonic() - self._used > KEPT_FOR or link.pending():
            return True
        poll = select.poll()
        poll.register(link.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _no_answer(self, error: BaseException, line: _Line, size: int) -> NoAnswer:
        refused = client_certificate_refused(error)
        if refused is not None:
            return refused
        if isinstance(error, TimeoutError):
            sent = line.sent > size
            what = "the server did not answer" if sent else "the request could not be sent"
            text = f"{what} within {self._timeout:g} s (RequestTimeout)"
            return NoAnswer(text, timed_out=True)
        if isinstance(error, http.client.IncompleteRead):
            return NoAnswer("the server's answer broke off in the middle", Trouble.WRONG_ANSWER)
        if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError):
            return NoAnswer("the server closed the connection without an answer")
        if isinstance(error, http.client.HTTPException | ValueError):
            text = f"the answer is no HTTP ({type(error).__name__}); is a proxy in between?"
            return NoAnswer(text, Trouble.WRONG_ANSWER)
        return NoAnswer(f"the connection to the server failed: {explain(error)}")


class _Line(io.RawIOBase):
    """A connection for one request, as http.client needs it, whose time ends at one moment."""

    def __init__(self, link: ssl.SSLSocket, deadline: Deadline) -> None:
        self._link = link
        self._deadline = deadline
        self.sent = 0
        """Bytes that went out."""
        self.failed = False

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._link.settimeout(self._deadline.left())
            try:
                count = self._link.send(view)
            except OSError:
                self.failed = True
                raise
            self.sent += count
            view = view[count:]

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: http.client closes early, and the connection is the transport's."""

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._link.settimeout(self._deadline.left())
        return self._link.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)


def _early(
    connection: http.client.HTTPConnection, line: _Line, error: OSError
) -> http.client.HTTPResponse:
    """Return the answer of a server that has refused before it had read everything."""
    if line.sent == 0:
        raise error
    try:
        return connection.getresponse()
    except _BROKEN as later:
        if isinstance(later, ssl.SSLError):
            raise  # an alert says more than a closed connection
        raise error from None


def _seconds(retry_after: str | None) -> float | None:
    """Return the header's seconds; None when it is missing or given as a date."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return float(retry_after.strip()[:9])
