"""The proxy of the general settings: how it is named, and a way through it by HTTP CONNECT.

`ProxyServer` has the form ``[user:password@]host:port``; in user and password ``%XX`` stands for a
byte of UTF-8, so that a percent sign is ``%25``. The password is in no text that this module makes.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from deodar.agent.answers import NoAnswer
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.proxy import parse_proxy

if TYPE_CHECKING:
    import socket

    from deodar.agent.dial import Deadline

LARGEST_ANSWER = 16 << 10

_CREDENTIALS = frozenset({407, 401})
"""tinyproxy answers 401 to a wrong password."""
_ENDS = (b"\r\n\r\n", b"\n\n")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n")


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Where it is, host:port."""
        return place(self.host, self.port)


def place(host: str, port: int) -> str:
    """Return host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(text: str) -> Proxy:
    """Return the proxy that `ProxyServer` names; raises InvalidSetting."""
    named = parse_proxy(text.strip())
    try:
        user = unquote(named.user, errors="strict")
        password = unquote(named.password, errors="strict")
    except UnicodeDecodeError:
        reason = "user and password have to be UTF-8 where they are written as %XX"
        raise InvalidSetting(reason, setting="ProxyServer") from None
    if ":" in user:
        raise InvalidSetting("a user's name cannot have a colon in it", setting="ProxyServer")
    return Proxy(named.host, named.port, user, password)


def tunnel(link: socket.socket, proxy: Proxy, target: str, deadline: Deadline) -> None:
    """Have the proxy connect `link` to target, host:port; raises NoAnswer, or OSError of `link`."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user:
        pair = f"{proxy.user}:{proxy.password}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    link.settimeout(deadline.left())
    link.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = _head(link, proxy, deadline)
    match = _STATUS.match(head)
    if match is None:
        raise NoAnswer(f"what answers at {proxy.name} is no HTTP proxy")
    status = int(match[1])
    if status in _CREDENTIALS:
        raise NoAnswer(_credentials(proxy, status))
    if not 200 <= status < 300:
        words = "".join(chr(byte) for byte in (match[2] or b"")[:100] if 32 <= byte < 127)
        raise NoAnswer(
            f"the proxy {proxy.name} does not connect to {target}: HTTP {status} {words}".rstrip()
        )
    if not head.endswith(_ENDS):
        # A server of TLS waits to be spoken to.
        raise NoAnswer(f"the proxy {proxy.name} answers in place of {target}")


def _head(link: socket.socket, proxy: Proxy, deadline: Deadline) -> bytes:
    """Return the answer's head. The server behind says nothing before it is spoken to."""
    head = bytearray()
    while not any(end in head for end in _ENDS):
        link.settimeout(deadline.left())
        block = link.recv(4096)
        if not block:
            raise NoAnswer(f"the proxy {proxy.name} closed the connection")
        head += block
        if len(head) > LARGEST_ANSWER:
            raise NoAnswer(f"what answers at {proxy.name} is no HTTP proxy: its answer has no end")
    return bytes(head)


def _credentials(proxy: Proxy, status: int) -> str:
    if proxy.user:
        return (
            f"the proxy {proxy.name} does not accept the password of {proxy.user} (HTTP {status}); "
            "correct ProxyServer"
        )
    return (
        f"the proxy {proxy.name} asks for a user's name and password (HTTP {status}); "
        "set ProxyServer=user:password@host:port"
    )
