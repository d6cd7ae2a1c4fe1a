"""UDP with rsyslog as the sender, and datagrams that are lost, long or empty."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.siem.connectors.kept import KeptSink, free_port, running, until
from tests.siem.connectors.rsyslog_sender import RsyslogSender, needs_rsyslog

from deodar.kit.listeners import ServeError
from deodar.siem.connectors import gathering
from deodar.siem.connectors.udp import UdpConnector, UdpSettings


@pytest.fixture
def sink():
    return KeptSink()


@pytest.fixture
def port():
    return free_port(socket.SOCK_DGRAM)


def made(sink, port, folder, **changes):
    return UdpConnector(UdpSettings(port=port, **{"gather_seconds": 0.05, **changes}), folder, sink)


def send(port, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for one in datagrams:
            sender.sendto(one, ("127.0.0.1", port))


@needs_rsyslog
async def test_what_rsyslog_sends_arrives(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path)):
        await until(lambda: sink.colour == "green")
        with RsyslogSender(tmp_path / "rsyslog", port, "udp") as rsyslog:
            await asyncio.to_thread(rsyslog.log_lines, *(f"line {n}" for n in range(50)))
            await until(lambda: len(sink.events()) == 50)
    assert sink.events()[7].endswith(b"line 7")
    assert sink.arrived()[0][0] == "127.0.0.1"


async def test_each_datagram_is_an_event_without_what_ends_a_line(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path)):
        await until(lambda: sink.colour == "green")
        send(port, b"<13>a\nb\r\n", b"", b"\n", b"c\x00")
        await until(lambda: len(sink.events()) == 2)
    assert sink.events() == [b"<13>a\nb", b"c"]


async def test_a_datagram_that_is_too_long_is_put_aside(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, max_event_bytes=64)):
        await until(lambda: sink.colour == "green")
        send(port, b"x" * 65, b"y" * 64)
        await until(lambda: sink.events() and sink.aside)
    assert sink.events() == [b"y" * 64]
    assert sink.aside[0][2] == b"x" * 64
    assert sink.counts["too_long"] == 1


async def test_what_the_kernel_throws_away_is_counted_to_the_datagram(
    sink, port, tmp_path, monkeypatch
):
    monkeypatch.setattr(gathering, "MOST_WAITING", 10_000)
    sink.open.clear()
    sent = 2000
    async with running(made(sink, port, tmp_path, receive_buffer=65_536)):
        await until(lambda: sink.colour == "green")
        for _ in range(sent // 100):
            await asyncio.to_thread(send, port, *[b"x" * 1000] * 100)
        await until(lambda: sink.counts.get("datagrams_lost"))
        sink.open.set()
        await until(lambda: len(sink.events()) + sink.counts["datagrams_lost"] == sent)
    assert 0 < len(sink.events()) < sent


async def test_ipv6_and_ipv4_share_a_socket_on_all_addresses(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, host="::")):
        await until(lambda: sink.colour == "green")
        send(port, b"four")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"six", ("::1", port))
        await until(lambda: len(sink.events()) == 2)
    assert sorted(sink.arrived()) == [("127.0.0.1", b"four"), ("::1", b"six")]


async def test_a_taken_port_is_told(sink, port, tmp_path):
    assert "is free" in await made(sink, port, tmp_path).check()
    async with running(made(sink, port, tmp_path)):
        await until(lambda: sink.colour == "green")
        with pytest.raises(ServeError, match=f":{port}"):
            await made(sink, port, tmp_path).check()


def test_settings_that_do_not_fit_are_told():
    assert "host" in UdpSettings(port=514, host="x").problem()
    assert UdpSettings(port=514).problem() == ""
