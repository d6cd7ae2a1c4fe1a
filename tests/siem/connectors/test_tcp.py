"""TCP with rsyslog as the sender, and with senders that flood, stall and misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from tests.siem.connectors.kept import KeptSink, free_port, running, until
from tests.siem.connectors.rsyslog_sender import RsyslogSender, needs_rsyslog

from deodar.kit.errors import SettingsError
from deodar.kit.listeners import ServeError
from deodar.siem.connectors import gathering
from deodar.siem.connectors.listening import ListenTls
from deodar.siem.connectors.tcp import TcpConnector, TcpSettings
from deodar.tls.certificates import issue_client, issue_server, make_authority, make_request


@pytest.fixture
def sink():
    return KeptSink()


@pytest.fixture
def port():
    return free_port()


def made(sink, port, folder, **changes):
    changes = {"gather_seconds": 0.05, **changes}
    return TcpConnector(TcpSettings(port=port, **changes), folder, sink)


async def connect(port, **options):
    return await asyncio.open_connection("127.0.0.1", port, **options)


async def sent(port, data: bytes) -> None:
    _, writer = await connect(port)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def certificates(tmp_path):
    """Files of a listener (listen.pem, senders.pem) and of a sender (ca, client.crt and .key)."""
    authority = make_authority("test")
    (tmp_path / "listen.pem").write_bytes(issue_server(authority, ["127.0.0.1"]).pem)
    (tmp_path / "senders.pem").write_bytes(authority.certificate)
    request, key = make_request("sender")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "client.crt").write_bytes(issue_client(authority, request, "sender"))
    (tmp_path / "client.key").write_bytes(key)
    return tmp_path


@needs_rsyslog
@pytest.mark.parametrize("framing", ["traditional", "octet-counted"])
async def test_what_rsyslog_sends_arrives_in_either_framing(sink, port, tmp_path, framing):
    options = f'TCP_Framing="{framing}"'
    async with running(made(sink, port, tmp_path)):
        await until(lambda: sink.colour == "green")
        with RsyslogSender(tmp_path / "rsyslog", port, options=options) as rsyslog:
            await asyncio.to_thread(rsyslog.log_lines, *(f"line {n}" for n in range(200)))
            await until(lambda: len(sink.events()) == 200)
    assert [event.rpartition(b"-  ")[2] for event in sink.events()] == [
        b"line %d" % n for n in range(200)
    ]
    assert {source for source, _ in sink.arrived()} == {"127.0.0.1"}
    assert all(event.startswith(b"<13>1 ") for event in sink.events())


@needs_rsyslog
async def test_rsyslog_sends_over_tls_with_a_certificate(sink, port, certificates):
    tls = ListenTls(certificate="listen.pem", client_ca="senders.pem")
    async with running(made(sink, port, certificates, tls=tls)):
        await until(lambda: sink.colour == "green")
        with RsyslogSender(certificates, port, tls=True) as rsyslog:
            await asyncio.to_thread(rsyslog.log_lines, "over tls")
            await until(sink.events)
    assert sink.events()[0].endswith(b"over tls")


async def test_a_sender_without_a_certificate_is_kept_out(sink, port, certificates):
    tls = ListenTls(certificate="listen.pem", client_ca="senders.pem")
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    async with running(made(sink, port, certificates, tls=tls)):
        await until(lambda: sink.colour == "green")
        with pytest.raises(OSError):  # the alert comes with the first read  # noqa: PT012
            reader, writer = await connect(port, ssl=context)
            writer.write(b"hello\n")
            if await reader.read() == b"":
                raise ConnectionResetError
        context.load_cert_chain(certificates / "client.crt", certificates / "client.key")
        _, writer = await connect(port, ssl=context)
        writer.write(b"welcome\n")
        await until(lambda: sink.events() == [b"welcome"])
        writer.close()


async def test_a_full_journal_holds_senders_back_and_nothing_is_lost(
    sink, port, tmp_path, monkeypatch
):
    monkeypatch.setattr(gathering, "MOST_WAITING", 100_000)
    sink.open.clear()
    lines = [b"%06d %s" % (n, b"x" * 1000) for n in range(20_000)]
    async with running(made(sink, port, tmp_path)):
        await until(lambda: sink.colour == "green")
        sending = asyncio.create_task(sent(port, b"\n".join(lines) + b"\n"))
        await asyncio.wait({sending}, timeout=1.0)
        assert not sending.done(), "20 MB were taken although nothing could be kept"
        sink.open.set()
        await asyncio.wait_for(sending, 20)
        await until(lambda: len(sink.events()) == len(lines))
    assert sink.events() == lines


async def test_a_message_that_is_too_long_is_put_aside_and_the_others_come(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, max_event_bytes=64)):
        await until(lambda: sink.colour == "green")
        await sent(port, b"a\n" + b"x" * 1000 + b"\nb\n")
        await until(lambda: len(sink.events()) == 2 and sink.aside)
    assert sink.events() == [b"a", b"b"]
    ((origin, reason, beginning),) = sink.aside
    assert (origin, beginning) == ("127.0.0.1", b"x" * 64)
    assert "longer than 64 bytes" in reason
    assert sink.counts["too_long"] == 1


async def test_a_message_without_its_end_is_kept_when_the_sender_goes(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path)):
        await until(lambda: sink.colour == "green")
        await sent(port, b"whole\nhalf")
        await until(lambda: len(sink.events()) == 2)
    assert sink.events() == [b"whole", b"half"]
    assert sink.counts["unfinished"] == 1


async def test_a_stop_keeps_what_was_read(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, gather_seconds=60.0)) as task:
        await until(lambda: sink.colour == "green")
        _, writer = await connect(port)
        writer.write(b"one\ntwo\nthr")
        await writer.drain()
        await until(lambda: sink.counts.get("connections"))
        await asyncio.sleep(0)
        connector = task.get_coro().cr_frame.f_locals["self"]
        await until(lambda: connector._gatherer.waiting)
    assert sink.events() == [b"one", b"two", b"thr"]
    writer.close()


async def test_more_connections_than_allowed_are_turned_away_and_counted(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, max_connections=2)):
        await until(lambda: sink.colour == "green")
        kept = [await connect(port) for _ in range(2)]
        await until(lambda: sink.counts.get("connections") == 2)
        reader, writer = await connect(port)
        with pytest.raises(OSError):  # noqa: PT012 - closed, with or without a reset
            if await asyncio.wait_for(reader.read(), 5) == b"":
                raise ConnectionResetError
        writer.close()
        assert sink.counts["connections_refused"] == 1
        kept[0][1].write(b"still here\n")
        await until(lambda: sink.events() == [b"still here"])
        for _, one in kept:
            one.close()


async def test_a_silent_connection_is_closed(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, idle_seconds=0.1)):
        await until(lambda: sink.colour == "green")
        reader, writer = await connect(port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert sink.counts["connections_idle"] == 1


async def test_a_stream_that_cannot_be_followed_is_closed_and_told(sink, port, tmp_path):
    async with running(made(sink, port, tmp_path, divided_by="octets")):
        await until(lambda: sink.colour == "green")
        await sent(port, b"5 <13>ano count here")
        await until(lambda: sink.aside)
        await until(sink.events)
    assert sink.events() == [b"<13>a"]
    assert sink.aside[0][2] == b"no count here"
    assert sink.counts["streams_broken_off"] == 1


async def test_another_delimiter_and_encoding(sink, port, tmp_path):
    changes = {"delimiter": "\x00", "divided_by": "delimiter", "character_encoding": "cp1251"}
    async with running(made(sink, port, tmp_path, **changes)):
        await until(lambda: sink.colour == "green")
        await sent(port, "раз\nдва\x00три\x00".encode("cp1251"))
        await until(lambda: len(sink.events()) == 2)
    assert [event.decode() for event in sink.events()] == ["раз\nдва", "три"]


async def test_a_taken_port_is_told(sink, port, tmp_path):
    connector = made(sink, port, tmp_path)
    assert "is free" in await connector.check()
    async with running(connector):
        await until(lambda: sink.colour == "green")
        with pytest.raises(ServeError, match=f"port {port}"):
            await made(sink, port, tmp_path).check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"host": "localhost"}, "host: 'localhost' is no IP address"),
        ({"tls": ListenTls(client_ca="x.pem")}, "tls.client_ca"),
        ({"character_encoding": "klingon"}, "character_encoding: 'klingon'"),
    ],
)
def test_settings_that_do_not_fit_are_told(change, words):
    assert words in TcpSettings(port=514, **change).problem()
    assert TcpSettings(port=514).problem() == ""


def test_a_missing_certificate_is_told(sink, port, tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read .*absent\.pem"):
        made(sink, port, tmp_path, tls=ListenTls(certificate="absent.pem"))
