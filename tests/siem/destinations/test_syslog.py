"""Syslog against rsyslog of Debian, and against receivers that refuse, stall or go away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest
from tests.siem.batches import batch, until
from tests.siem.destinations.test_cef import read
from tests.siem.syslog_ng import SyslogNg, unpacked

from deodar.siem.destinations.base import Batch
from deodar.siem.destinations.syslog import SyslogDestination, SyslogSettings, message
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import DestinationRefused, DestinationUnavailable
from deodar.tls.certificates import fingerprint, issue_server, make_authority

needs_rsyslog = pytest.mark.skipif(
    shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") is None, reason="rsyslogd is not installed"
)
CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="256k" {tls})
module(load="{module}" {options})
template(name="all" type="list") {{ property(name="jsonmesg") constant(value="\\n") }}
input(type="{module}" port="{port}" address="127.0.0.1")
action(type="omfile" file="{folder}/received" template="all")
"""
TLS = (
    'defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{folder}/ca.pem" '
    'defaultNetstreamDriverCertFile="{folder}/server.crt" '
    'defaultNetstreamDriverKeyFile="{folder}/server.key"'
)
TLS_OPTIONS = 'streamDriver.mode="1" streamDriver.authMode="anon"'


class Rsyslog:
    """A process of rsyslogd that writes what it read, field by field, as JSON."""

    def __init__(self, folder, transport: str) -> None:
        self.folder = folder
        self.transport = transport
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        tls = transport == "tls"
        if tls:
            authority = make_authority("syslog")
            self.pair = issue_server(authority, ["127.0.0.1"])
            (folder / "ca.pem").write_bytes(authority.certificate)
            (folder / "server.crt").write_bytes(self.pair.certificate)
            (folder / "server.key").write_bytes(self.pair.key)
        text = CONFIGURATION.format(
            folder=folder,
            port=self.port,
            module="imudp" if transport == "udp" else "imtcp",
            tls=TLS.format(folder=folder) if tls else "",
            options=TLS_OPTIONS if tls else "",
        )
        (folder / "rsyslog.conf").write_text(text)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Rsyslog:
        path = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
        command = [path, "-n", "-f", f"{self.folder}/rsyslog.conf", "-i", f"{self.folder}/pid"]
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)
        return self

    def _listens(self) -> bool:
        table = "/proc/net/udp" if self.transport == "udp" else "/proc/net/tcp"
        return f"0100007F:{self.port:04X}" in Path(table).read_text()

    def __exit__(self, *_error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()

    def received(self) -> list[dict]:
        path = self.folder / "received"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]


@contextlib.asynccontextmanager
async def sending(tmp_path, address: str, **changes):
    settings = SyslogSettings(name="x", kind="syslog", address=address, **changes)
    destination = SyslogDestination(settings, tmp_path)
    try:
        yield destination
    finally:
        await destination.close()


async def deliver_all(destination, received, transport: str, count: int = 300) -> None:
    """Deliver events and wait for them.

    Over UDP a few at a time: more than the receiver's socket has room for would be lost unseen.
    """
    whole = batch(count)
    at_once = 20 if transport == "udp" else count
    for at in range(0, count, at_once):
        part = Batch(whole.id, whole.events.slice(at, at_once))
        assert await destination.deliver(part) > 0
        await until(lambda upto=at + at_once: len(received()) == upto)


@needs_rsyslog
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_rsyslog_reads_every_field_of_every_message(tmp_path, transport):
    with Rsyslog(tmp_path, transport) as rsyslog:
        tls = TlsSettings(ca="ca.pem") if transport == "tls" else TlsSettings()
        async with sending(tmp_path, rsyslog.address, transport=transport, tls=tls) as destination:
            assert rsyslog.address in await destination.check()
            await deliver_all(destination, rsyslog.received, transport)
    for number, found in enumerate(rsyslog.received()):
        assert (found["hostname"], found["app-name"], found["msgid"]) == (
            "host-1", "deodar", "process",
        )  # fmt: skip
        assert (found["syslogfacility"], found["syslogseverity"]) == ("13", "6")
        assert found["timereported"].startswith("2026-11-")
        header, extension = read(found["msg"])
        assert header[1:3] == ["Kaspersky", "KATA"]
        assert header[5] == "Process | started"
        assert extension["filePath"] == f"/opt/a=b\\c/{number}"
        assert (extension["deodarEventId"], extension["deodarBatchId"]) == (
            f"id-{number}", "batch-1",
        )  # fmt: skip


@pytest.fixture(scope="module")
def syslog_ng(tmp_path_factory):
    root = unpacked(tmp_path_factory.mktemp("syslog-ng"))
    if root is None:
        pytest.skip("syslog-ng-core cannot be fetched by apt-get, or lacks libraries to run")
    return root


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_syslog_ng_reads_every_field_of_every_message(tmp_path, syslog_ng, transport):
    with SyslogNg(syslog_ng, tmp_path, transport) as receiver:
        address = f"127.0.0.1:{receiver.port}"
        async with sending(tmp_path, address, transport=transport) as destination:
            await deliver_all(destination, receiver.lines, transport)
    for number, line in enumerate(receiver.lines()):
        found = json.loads(line)
        assert (found["host"], found["program"], found["msgid"]) == ("host-1", "deodar", "process")
        header, extension = read(found["message"])
        assert header[5] == "Process | started"
        assert extension["filePath"] == f"/opt/a=b\\c/{number}"


@needs_rsyslog
async def test_a_pinned_certificate_is_enough_and_another_is_refused(tmp_path):
    with Rsyslog(tmp_path, "tls") as rsyslog:
        pins = [fingerprint(rsyslog.pair.certificate)]
        settings = {"transport": "tls", "form": "json"}
        pinned = TlsSettings(pins=pins)
        async with sending(tmp_path, rsyslog.address, tls=pinned, **settings) as destination:
            await destination.deliver(batch(1))
            await until(rsyslog.received)
        assert json.loads(rsyslog.received()[0]["msg"])["ID"] == "id-0"
        wrong = TlsSettings(pins=["00" * 32])
        async with sending(tmp_path, rsyslog.address, tls=wrong, **settings) as destination:
            with pytest.raises(DestinationUnavailable, match="another server"):
                await destination.deliver(batch(1))


@needs_rsyslog
async def test_a_restarted_receiver_is_connected_to_again(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        with Rsyslog(tmp_path, "tcp") as rsyslog:
            destination = await stack.enter_async_context(sending(tmp_path, rsyslog.address))
            await destination.deliver(batch(1, "b1"))
            await until(rsyslog.received)
        await until(destination._line._reader.at_eof)
        with pytest.raises(DestinationUnavailable, match=r"127\.0\.0\.1"):
            await destination.deliver(batch(1, "b2"))
        with rsyslog:
            await destination.deliver(batch(1, "b2"))
            await until(lambda: len(rsyslog.received()) == 2)


async def test_nobody_there_is_told_over_tcp_and_udp(tmp_path):
    for transport in ("tcp", "udp"):
        with socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        ) as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        async with sending(tmp_path, address, transport=transport) as destination:
            with pytest.raises(DestinationUnavailable, match=r"refused|Connect call failed"):
                await destination.deliver(batch(1))


async def test_a_receiver_that_does_not_read_is_given_up_after_the_timeout(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = f"127.0.0.1:{stalled.getsockname()[1]}"
        async with sending(tmp_path, address, timeout=0.5) as destination:
            async with asyncio.timeout(20):
                with pytest.raises(DestinationUnavailable, match=r"no end within 0\.5 s"):
                    await destination.deliver(batch(3000, FilePath="x" * 5000))


async def test_a_connection_that_is_cut_in_the_middle_is_no_delivery(tmp_path):
    async def cut(reader, writer):
        await reader.read(1000)
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0, limit=1000)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, sending(tmp_path, address) as destination:
        with pytest.raises(DestinationUnavailable):
            await destination.deliver(batch(3000, FilePath="x" * 5000))


async def test_messages_that_are_too_long_are_refused_and_the_others_sent(tmp_path):
    got = bytearray()

    async def keep(reader, writer):
        while data := await reader.read(1 << 16):
            got.extend(data)
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, sending(tmp_path, address, max_message_bytes=600) as destination:
        mixed = batch(4)
        long = batch(2, FilePath="x" * 700)
        table = pa.Table.from_batches([mixed.events, long.events]).combine_chunks()
        with pytest.raises(DestinationRefused, match="longer than 600 bytes") as told:
            await destination.deliver(Batch("b", table.to_batches()[0]))
        assert told.value.rows == 2
        await until(lambda: got.count(b"CEF:0") == 4)


def test_the_length_before_a_message_counts_bytes_and_the_header_is_plain_ascii():
    settings = SyslogSettings(name="x", kind="syslog", address="h:1", form="json")
    made = message(settings, {"Timestamp": 0, "DeviceHostName": "hôte du nord", "Name": "é"})
    head, _, body = made.partition(b" - {")
    assert head == b"<110>1 1970-01-01T00:00:00.000Z h_te_du_nord deodar - -"
    assert "é".encode() in body


def test_an_event_without_time_or_host_is_a_message_too():
    settings = SyslogSettings(name="x", kind="syslog", address="h:1")
    assert message(settings, {}).startswith(
        b"<110>1 1970-01-01T00:00:00.000Z - deodar - - - CEF:0|"
    )
