from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.answers import NoAnswer
from deodar.agent.dial import Deadline
from deodar.agent.proxy import Proxy, parse, place, tunnel
from deodar.tasks.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterator

PROXY = Proxy("10.0.0.1", 3128, "agent", "pass:wörd")
SECRET = "s3cret"


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy.example.org:3128", Proxy("proxy.example.org", 3128)),
        (" 10.0.0.1:80 ", Proxy("10.0.0.1", 80)),
        ("[2001:db8::1]:8080", Proxy("2001:db8::1", 8080)),
        ("agent:secret@10.0.0.1:80", Proxy("10.0.0.1", 80, "agent", "secret")),
        ("agent:a@b:c@10.0.0.1:80", Proxy("10.0.0.1", 80, "agent", "a@b:c")),
        ("agent:100%25%40%C3%A4@[::1]:80", Proxy("::1", 80, "agent", "100%@ä")),
        ("agent@10.0.0.1:80", Proxy("10.0.0.1", 80, "agent", "")),
    ],
)
def test_setting_is_read(text: str, proxy: Proxy) -> None:
    assert parse(text) == proxy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy",
        "proxy:",
        "proxy:0",
        "proxy:65536",
        "proxy:http",
        "::1:80",
        "[::1]",
        f"a:{SECRET}@",
        f"a:{SECRET}@proxy",
        f"a:{SECRET}@:80",
        f"a%3Ab:{SECRET}@proxy:80",
        f"a:{SECRET}%FF@proxy:80",
        f"a:{SECRET}@pro xy:80",
        f"a:{SECRET}@proxy\r\nX: y:80",
    ],
)
def test_wrong_setting_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(InvalidSetting, match="ProxyServer") as caught:
        parse(text)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        proxy = parse(text)
    except InvalidSetting:
        return
    assert 1 <= proxy.port <= 65535


def test_password_is_not_shown() -> None:
    assert "wörd" not in f"{PROXY!r} {PROXY} {PROXY.name}"


def test_ipv6_address_is_placed_in_brackets() -> None:
    assert (place("::1", 80), place("h", 80)) == ("[::1]:80", "h:80")


class Peer:
    """The other end of a connection, that says what it is told to."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.heard = b""

    def say(self, *parts: bytes, then_close: bool = True) -> None:
        def work() -> None:
            with suppress(OSError):  # the near end may have heard enough
                self.heard = self.far.recv(65536)
                for part in parts:
                    self.far.sendall(part)
                if then_close:
                    self.far.shutdown(socket.SHUT_WR)

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.near.close()
    made.far.close()


def test_way_through_is_asked_for_with_credentials(peer: Peer) -> None:
    peer.say(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n", b"\r\n", then_close=False)
    tunnel(peer.near, PROXY, "[2001:db8::2]:443", Deadline(5))
    lines = peer.heard.decode().split("\r\n")
    assert lines[:2] == ["CONNECT [2001:db8::2]:443 HTTP/1.1", "Host: [2001:db8::2]:443"]
    credentials = lines[2].removeprefix("Proxy-Authorization: Basic ")
    assert base64.b64decode(credentials).decode() == "agent:pass:wörd"


def test_without_a_user_no_credentials_are_sent(peer: Peer) -> None:
    peer.say(b"HTTP/1.0 200 OK\n\n", then_close=False)
    tunnel(peer.near, Proxy("p", 1), "h:443", Deadline(5))
    assert b"Authorization" not in peer.heard


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "does not accept the password"),
        (b"HTTP/1.1 403 Filtered\x1b[1m\r\n\r\n", "HTTP 403 Filtered[1m"),
        (b"HTTP/1.1 502\r\n\r\n", "HTTP 502"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", "HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP proxy"),
        (b"\r\n\r\n", "no HTTP proxy"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000, "no end"),
    ],
)
def test_proxy_that_does_not_connect_is_told_of(peer: Peer, answer: bytes, words: str) -> None:
    peer.say(answer)
    with pytest.raises(NoAnswer) as caught:
        tunnel(peer.near, PROXY, "h:443", Deadline(5))
    assert words in str(caught.value)
    assert "wörd" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_proxy_that_asks_for_credentials_says_how_to_give_them(peer: Peer) -> None:
    peer.say(b"HTTP/1.1 407 x\r\n\r\n")
    with pytest.raises(NoAnswer, match="set ProxyServer=user:password@host:port"):
        tunnel(peer.near, Proxy("p", 1), "h:443", Deadline(5))


def test_slow_proxy_ends_with_the_time_limit(peer: Peer) -> None:
    with pytest.raises(TimeoutError):
        tunnel(peer.near, PROXY, "h:443", Deadline(0.1))
