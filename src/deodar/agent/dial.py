"""A connection to the EDR server: name, TCP, perhaps a proxy, TLS; all within one time limit.

Blocking sockets have limits for each call only, and looking up a name has none; a `Deadline` holds
for all steps together, however slowly the other side moves.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from deodar.agent.answers import NoAnswer, Trouble
from deodar.agent.proxy import place, tunnel

if TYPE_CHECKING:
    from deodar.agent.proxy import Proxy

MOST_ADDRESSES = 8
"""Of one name; more are not tried."""

_EXPIRED, _NOT_YET = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, …_NOT_YET_VALID


class Deadline:
    """A moment by which something has to be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, more than 0; raises TimeoutError when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def dial(
    server: tuple[str, int], context: ssl.SSLContext, proxy: Proxy | None, seconds: float
) -> ssl.SSLSocket:
    """Return a connection to `server` that is ready for HTTP; raises NoAnswer."""
    deadline = Deadline(seconds)
    far = place(*server)
    if proxy is None:
        link = _reach(*server, f"the server {far}", deadline)
    else:
        link = _reach(proxy.host, proxy.port, f"the proxy {proxy.name}", deadline)
    try:
        if proxy is not None:
            _pass(link, proxy, server, deadline)
        return _secure(link, server, context, deadline)
    except BaseException:
        link.close()
        raise


def explain(error: BaseException) -> str:
    """Return an error of a connection in the words of the system."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"[:300] if str(error) else type(error).__name__


def client_certificate_refused(error: BaseException) -> NoAnswer | None:
    """Return what to say when the error is that the server does not take our certificate."""
    reason = str(getattr(error, "reason", "") or "")
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        words = reason.partition("ALERT_")[2].replace("_", " ").lower()
        text = (
            f"the server does not take this agent's client certificate (TLS alert: {words}); "
            "see: deodar agent certificate client show"
        )
        return NoAnswer(text, Trouble.CERTIFICATE)
    return None


def _reach(host: str, port: int, who: str, deadline: Deadline) -> socket.socket:
    """Return a TCP connection; each of a name's addresses gets its share of the time."""
    try:
        addresses = _resolve(host, port, deadline)[:MOST_ADDRESSES]
    except (OSError, ValueError) as error:
        why = _why(error, deadline)
        raise NoAnswer(f"{who} could not be reached: no address for its name: {why}") from None
    problem: OSError = OSError("it has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(deadline.left() / (len(addresses) - number))
            link.connect(address)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            problem = error
            link.close()
        else:
            return link
    raise NoAnswer(f"{who} could not be reached: {_why(problem, deadline)}")


def _resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Return the addresses of a host. The system's search has its own limits, longer than ours."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    found: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def search() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, ValueError) as error:
            found.put(error)

    threading.Thread(target=search, name="resolve", daemon=True).start()
    try:
        result = found.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result


def _pass(link: socket.socket, proxy: Proxy, server: tuple[str, int], deadline: Deadline) -> None:
    try:
        host = server[0] if ":" in server[0] else server[0].encode("idna").decode("ascii")
        tunnel(link, proxy, place(host, server[1]), deadline)
    except (OSError, UnicodeError) as error:
        text = f"the proxy {proxy.name} did not connect: {_why(error, deadline)}"
        raise NoAnswer(text) from None


def _secure(
    link: socket.socket, server: tuple[str, int], context: ssl.SSLContext, deadline: Deadline
) -> ssl.SSLSocket:
    name = place(*server)
    try:
        secured = context.wrap_socket(
            link, server_hostname=server[0], do_handshake_on_connect=False
        )
    except (OSError, ValueError) as error:
        raise NoAnswer(f"no TLS with the server {name}: {explain(error)}") from None
    try:
        secured.settimeout(deadline.left())
        secured.do_handshake()
    except ssl.SSLCertVerificationError as error:
        secured.close()
        raise NoAnswer(_distrust(name, error), Trouble.CERTIFICATE) from None
    except OSError as error:
        secured.close()
        refused = client_certificate_refused(error)
        raise refused or NoAnswer(
            f"no TLS with the server {name}: {_why(error, deadline)}"
        ) from None
    return secured


def _distrust(name: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return (
            f"the certificate of the server {name}, or the one that issued it, has expired; "
            "renew it on the EDR server"
        )
    if error.verify_code == _NOT_YET:
        return (
            f"the certificate of the server {name} is not valid yet; check the clocks of both hosts"
        )
    return (
        f"the server {name} shows another certificate than the one that this agent trusts "
        f"({error.verify_message or error.reason}); if it was replaced on purpose, add the new one "
        "with: deodar agent certificate server add FILE"
    )


def _why(error: BaseException, deadline: Deadline) -> str:
    if isinstance(error, TimeoutError):
        return f"it took longer than {deadline.seconds:g} s (ConnectionTimeout)"
    if isinstance(error, ssl.SSLError) and error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "what answers there speaks no TLS; check address and port"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return "the connection was closed"
    return explain(error)
