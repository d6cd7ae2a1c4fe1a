"""What it means when a request to the events API ends in an error of HTTP, TLS or the network."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from deodar.siem.connectors.kata_edr import Request


def host_of(request: Request) -> str:
    """Return the server that a request goes to, ``https://host:port``."""
    return request.url.partition("/kata/")[0]


def timeout_text(error: Exception, request: Request) -> str:
    """Return in words which time limit was passed."""
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection to {host_of(request)} in time"
    return f"no answer from {host_of(request)} within {request.timeout:g} s (client timeout)"


def words_of(error: Exception) -> str:
    """Return what an error says, or what it means where that is known better."""
    if _speaks_no_http1(error):
        return f"the server speaks no HTTP/1.1, perhaps HTTP/2 alone ({error})"
    return str(error) or type(error).__name__


def _speaks_no_http1(error: Exception) -> bool:
    text = str(error).lower()
    if isinstance(error, httpx.RemoteProtocolError):
        return "illegal status line" in text or "illegal request line" in text
    return "no application protocol" in text or "no_application_protocol" in text


def _is_tls(error: Exception) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def kind_of(error: Exception, *, trust_first: bool) -> str:
    """Return the kind of `problems.unreachable`: protocol, tls, changed or network."""
    if _speaks_no_http1(error):
        return "protocol"
    if not _is_tls(error):
        return "network"
    return "changed" if trust_first and "another server" in str(error) else "tls"
