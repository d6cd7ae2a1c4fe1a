from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.scripted import issue_dated

from deodar.agent import dial as dialling
from deodar.agent.answers import NoAnswer, Trouble
from deodar.agent.dial import Deadline, client_certificate_refused, dial, explain
from deodar.agent.proxy import Proxy
from deodar.tls.certificates import Pair, issue_client, issue_server, make_authority, make_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.agent.proxies import RunningProxy


@contextmanager
def listener(work: Callable[[socket.socket], None] | None = None) -> Iterator[int]:
    """A port that accepts, and then does `work` or nothing."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(8)
        links: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    link, _ = port.accept()
                except OSError:
                    return
                links.append(link)
                with suppress(OSError):
                    (work or (lambda _: None))(link)

        threading.Thread(target=accept, daemon=True).start()
        yield port.getsockname()[1]
        port.shutdown(socket.SHUT_RDWR)
        for link in links:
            link.close()


def trickle(link: socket.socket) -> None:
    """Say a byte of a TLS record now and then, as a dying server may."""
    for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 100:
        link.sendall(bytes([byte]))
        time.sleep(0.05)


def test_connection_stands_and_is_checked(server: Any) -> None:
    with dial(server.address, server.context(), None, 5) as link:
        assert link.version() in {"TLSv1.2", "TLSv1.3"}
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_name_is_looked_up(server: Any) -> None:
    dial(("localhost", server.address[1]), server.context(), None, 5).close()


def test_refused_connection_is_told_with_its_place(server: Any) -> None:
    with pytest.raises(NoAnswer, match=r"the server 127.0.0.1:1 could not .*Connection refused"):
        dial(("127.0.0.1", 1), server.context(), None, 5)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 70 + ".org", "a..b", "a b\r\n"])
def test_name_that_is_not_known_is_told(server: Any, name: str) -> None:
    with pytest.raises(NoAnswer, match="no address for its name"):
        dial((name, 443), server.context(), None, 5)


def test_slow_search_for_a_name_ends_with_the_time_limit(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def slow(*args: Any, **options: Any) -> Any:
        if not options.get("flags"):
            time.sleep(1)
        return real(*args, **options)

    monkeypatch.setattr(dialling.socket, "getaddrinfo", slow)
    started = time.monotonic()
    with pytest.raises(NoAnswer, match=r"longer than 0.2 s \(ConnectionTimeout\)"):
        dial(("localhost", 443), server.context(), None, 0.2)
    assert time.monotonic() - started < 0.9


def test_next_address_is_tried_when_the_first_one_is_dead(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def two(host: str, port: int, *args: Any, **options: Any) -> Any:
        dead = real("127.0.0.1", 1, *args, **options)
        return dead + real("127.0.0.1", port, *args, **options)

    monkeypatch.setattr(dialling.socket, "getaddrinfo", two)
    dial(("many.example.org", server.address[1]), server.context(), None, 5).close()


@pytest.mark.parametrize("work", [None, trickle])
def test_server_that_does_not_get_ready_ends_with_the_time_limit(
    server: Any, work: Callable[[socket.socket], None] | None
) -> None:
    with listener(work) as port:
        started = time.monotonic()
        with pytest.raises(NoAnswer, match=r"longer than 0.3 s \(ConnectionTimeout\)"):
            dial(("127.0.0.1", port), server.context(), None, 0.3)
        assert 0.25 < time.monotonic() - started < 0.8


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_what_speaks_no_tls_is_told(server: Any, said: bytes) -> None:
    with (
        listener(lambda link: link.sendall(said)) as port,
        pytest.raises(NoAnswer, match="speaks no TLS"),
    ):
        dial(("127.0.0.1", port), server.context(), None, 5)


def test_closed_connection_is_told(server: Any) -> None:
    with (
        listener(lambda link: link.close()) as port,
        pytest.raises(NoAnswer, match="the connection was closed"),
    ):
        dial(("127.0.0.1", port), server.context(), None, 5)


def test_another_authority_is_a_certificate_problem(server: Any) -> None:
    context = server.context(trusts=make_authority("other").certificate)
    with pytest.raises(NoAnswer, match="deodar agent certificate server add") as caught:
        dial(server.address, context, None, 5)
    assert caught.value.fault.trouble is Trouble.CERTIFICATE


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (timedelta(days=-2), timedelta(days=-1), "has expired"),
        (timedelta(days=1), timedelta(days=2), "not valid yet"),
    ],
)
def test_dates_of_the_servers_certificate_count(
    server: Any, begin: timedelta, end: timedelta, words: str
) -> None:
    server.show(issue_dated(server.authority, begin, end))
    with pytest.raises(NoAnswer, match=words) as caught:
        dial(server.address, server.context(), None, 5)
    assert caught.value.fault.trouble is Trouble.CERTIFICATE


def test_another_agent_cannot_pose_as_the_server(server: Any) -> None:
    request, key = make_request("agent")
    server.show(Pair(issue_client(server.authority, request, "agent"), key))
    with pytest.raises(NoAnswer) as caught:
        dial(server.address, server.context(), None, 5)
    assert caught.value.fault.trouble is Trouble.CERTIFICATE


def test_servers_own_certificate_can_be_pinned(server: Any) -> None:
    pair = issue_server(server.authority, ["127.0.0.1"])
    server.show(pair)
    own = pair.certificate.split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n"
    dial(server.address, server.context(trusts=own), None, 5).close()


def test_refused_client_certificate_is_told() -> None:
    error = ssl.SSLError(1, "alert")
    error.reason = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    told = client_certificate_refused(error)
    assert told is not None
    assert told.fault.trouble is Trouble.CERTIFICATE
    assert "certificate expired" in str(told)
    assert client_certificate_refused(ConnectionResetError()) is None


def test_way_through_a_proxy(server: Any, tinyproxy: RunningProxy) -> None:
    proxy = Proxy("127.0.0.1", tinyproxy.port)
    dial(server.address, server.context(), proxy, 5).close()
    assert tinyproxy.tunnels() == 1


def test_dead_proxy_is_told_and_not_passed_by(server: Any, tinyproxy: RunningProxy) -> None:
    tinyproxy.stop()
    proxy = Proxy("127.0.0.1", tinyproxy.port, "u", "s3cret")
    with pytest.raises(NoAnswer, match=f"the proxy 127.0.0.1:{tinyproxy.port} could not be"):
        dial(server.address, server.context(), proxy, 5)
    assert server.connections == 0


@pytest.mark.parametrize("work", [None, trickle])
def test_slow_proxy_is_told(server: Any, work: Callable[[socket.socket], None] | None) -> None:
    with (
        listener(work) as port,
        pytest.raises(NoAnswer, match=r"the proxy .* longer than 0.3 s"),
    ):
        dial(server.address, server.context(), Proxy("127.0.0.1", port), 0.3)


def test_proxy_that_answers_in_place_of_the_server_is_no_server(server: Any) -> None:
    said = b"HTTP/1.1 200 OK\r\n\r\n<html>please log in</html>"
    with (
        listener(lambda link: link.sendall(said)) as port,
        pytest.raises(NoAnswer, match="answers in place of"),
    ):
        dial(server.address, server.context(), Proxy("127.0.0.1", port), 5)


def test_deadline_runs_out() -> None:
    deadline = Deadline(0.05)
    assert 0 < deadline.left() <= 0.05
    time.sleep(0.06)
    with pytest.raises(TimeoutError):
        deadline.left()


def test_errors_are_explained_in_words() -> None:
    assert explain(TimeoutError()) == "it took too long"
    assert explain(OSError(113, "No route to host")) == "No route to host"
    assert explain(ValueError("x")) == "ValueError: x"
    assert explain(OSError()) == "OSError"
