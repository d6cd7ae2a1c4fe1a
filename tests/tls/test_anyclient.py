from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import socket
import ssl
import struct
import subprocess

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.kit.serve import Limits
from deodar.tls.anyclient import AnyClientContext
from deodar.tls.certificates import Pair, fingerprint, make_authority, self_signed
from deodar.tls.contexts import any_client, pinned_client, unverified_client
from deodar.tls.errors import CertificateError

KINDS = ["none", "self-signed", "issued", "expired", "not yet valid", "ed25519", "an authority"]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def version(request):
    return request.param


def _client(pair: Pair | None, version=None) -> ssl.SSLContext:
    context = unverified_client(pair)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("kind", KINDS)
async def test_the_application_sees_the_certificate_that_the_client_showed(
    server, clients, kind, version
):
    pair = clients[kind]
    async with httpx.AsyncClient(verify=_client(pair, version)) as client:
        told = (await client.get(server.url)).json()
    assert told["digest"] == (None if pair is None else fingerprint(pair.certificate))


async def test_two_clients_at_once_are_not_mixed_up(server, clients):
    pairs = [clients["self-signed"], clients["issued"], None] * 4

    async def ask(pair):
        async with httpx.AsyncClient(verify=_client(pair)) as client:
            answers = [(await client.get(server.url)).json()["digest"] for _ in range(3)]
        return set(answers)

    told = await asyncio.gather(*map(ask, pairs))
    assert told == [{pair and fingerprint(pair.certificate)} for pair in pairs]


async def test_one_connection_carries_many_requests_with_the_same_certificate(server, clients):
    pair = clients["self-signed"]
    async with httpx.AsyncClient(verify=_client(pair)) as client:
        told = [(await client.get(server.url)).json() for _ in range(5)]
    assert len({tuple(one["client"]) for one in told}) == 1
    assert {one["digest"] for one in told} == {fingerprint(pair.certificate)}


async def test_twenty_megabytes_pass_in_both_directions(server, clients, version):
    body = bytes(range(256)) * 78_125
    async with httpx.AsyncClient(verify=_client(clients["issued"], version), timeout=60) as client:
        told = (await client.post(server.url, content=body)).json()
        got = (await client.get(server.url + "/big")).content
    assert told["size"] == 20_000_000
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    assert got == bytes(range(250)) * 80_000


async def test_curl_gets_in_with_one_file_of_key_and_certificate(server, clients, tmp_path):
    pair = clients["self-signed"]
    (tmp_path / "both.pem").write_bytes(pair.pem)
    command = ["curl", "-sk", "--max-time", "20", "--cert", tmp_path / "both.pem", server.url]
    curl = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await curl.communicate()
    assert fingerprint(pair.certificate).encode() in out


async def test_curl_downloads_twenty_megabytes_slowly_read(server):
    command = ["curl", "-sk", "--max-time", "30", "--limit-rate", "15M", server.url + "/big"]
    curl = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await curl.communicate()
    assert out == bytes(range(250)) * 80_000


async def test_a_certificate_that_stricter_parsers_refuse_is_seen_all_the_same(server, tmp_path):
    """A negative serial number is against RFC 5280; its digest counts nevertheless."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=odd"]
    made += ["-set_serial", "-5", "-keyout", tmp_path / "k.pem", "-out", tmp_path / "c.pem"]
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True, timeout=60)
    pem = (tmp_path / "c.pem").read_text()
    async with httpx.AsyncClient(
        verify=_client(Pair(pem.encode(), (tmp_path / "k.pem").read_bytes()))
    ) as client:
        told = (await client.get(server.url)).json()
    assert told["digest"] == fingerprint(ssl.PEM_cert_to_DER_cert(pem))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_tls_1_1_is_refused(server):
    context = _client(None)
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(server.host, server.port, ssl=context)
    await _still_works(server)


async def test_plain_http_on_the_tls_port_is_cut_off(server):
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP" not in await _rest(reader)
    writer.close()
    await _still_works(server)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_client_that_stalls_in_the_handshake_is_cut_off(start, server_pair, sent):
    tls = any_client(server_pair.certificate, server_pair.key)
    bound = await start(tls, limits=Limits(handshake=0.3))
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    writer.write(sent)
    begin = asyncio.get_running_loop().time()
    assert await _rest(reader) == b""
    assert 0.2 < asyncio.get_running_loop().time() - begin < 5
    writer.close()
    await _still_works(bound)


@pytest.mark.parametrize("after", ["handshake", "headers", "half a body"])
async def test_a_client_that_vanishes_disturbs_nobody(server, clients, after):
    def vanish() -> None:
        raw = socket.create_connection((server.host, server.port))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # by a reset
        secured = _client(clients["issued"]).wrap_socket(raw)
        if after != "handshake":
            secured.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        if after == "half a body":
            secured.sendall(b"x" * 50_000)
        secured.close()

    for _ in range(5):
        await asyncio.to_thread(vanish)
    await _still_works(server)


async def test_bytes_damaged_on_the_way_end_the_connection_only(server):
    """A middle man flips a bit of the encrypted request."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _client(None).wrap_bio(incoming, outgoing)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    done = False
    while not done:
        try:
            tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await asyncio.wait_for(reader.read(65_536), 10))
    writer.write(outgoing.read())
    tls.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    data = bytearray(outgoing.read())
    data[-1] ^= 1
    writer.write(data)
    incoming.write(await _rest(reader))
    with pytest.raises(ssl.SSLError):
        _read_all(tls)
    writer.close()
    await _still_works(server)


async def test_a_session_is_never_resumed(server, clients, version):
    """Else a certificate could be seen without the proof of its key in this very connection."""

    def connect(context: ssl.SSLContext, session: ssl.SSLSession | None):
        raw = socket.create_connection((server.host, server.port), timeout=10)
        with context.wrap_socket(raw, session=session) as secured:
            secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while secured.recv(65_536):
                pass
            return secured.session_reused, secured.session

    context = _client(clients["issued"], version)
    _, session = await asyncio.to_thread(connect, context, None)
    reused, _ = await asyncio.to_thread(connect, context, session)
    assert not reused


async def test_renegotiation_is_refused(server):
    """By renegotiation a client could change its certificate in mid-connection."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    command = ["openssl", "s_client", "-tls1_2", "-connect", f"{server.host}:{server.port}"]
    client = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert client.stdin is not None
    assert client.stdout is not None
    await asyncio.wait_for(client.stdout.readuntil(b"Verify return code"), 10)
    client.stdin.write(b"R\n")
    out = await asyncio.wait_for(client.stdout.read(), 10)
    await client.wait()
    assert b"RENEGOTIATING" in out
    assert b"no renegotiation" in out


def test_certificate_and_key_must_fit(server_pair, authority):
    other = make_authority("other")
    with pytest.raises(CertificateError, match="do not fit"):
        any_client(server_pair.certificate, other.key)
    with pytest.raises(CertificateError, match="no certificate found"):
        any_client(b"", other.key)
    with pytest.raises(CertificateError, match="do not fit"):
        any_client(authority.certificate, b"no key")


def test_the_context_is_for_asyncio_servers_only(server_pair):
    context = any_client(server_pair.certificate, server_pair.key)
    assert isinstance(context, AnyClientContext)
    with socket.socket() as plain, pytest.raises(NotImplementedError):
        context.wrap_socket(plain)
    with pytest.raises(ValueError, match="servers only"):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


class _Wire:
    """Two TLS ends in memory, for what sockets cannot show.

    `spoil` changes what the client sends in the handshake.
    """

    def __init__(self, context: ssl.SSLContext, pair: Pair | None = None, spoil=bytes) -> None:
        self.to_server, self.to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._sent = ssl.MemoryBIO()
        self.client = _client(pair).wrap_bio(self.to_client, self._sent)
        self.server = context.wrap_bio(self.to_server, self.to_client, server_side=True)
        waiting = [self.client, self.server]
        for _ in range(10):
            for end in list(waiting):
                try:
                    end.do_handshake()
                    waiting.remove(end)
                except ssl.SSLWantReadError:
                    pass
                self.to_server.write(spoil(self._sent.read()))
        self.complete = not waiting

    def send(self, data: bytes) -> None:
        self.client.write(data)
        self.to_server.write(self._sent.read())

    def close_client(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.unwrap()
        self.to_server.write(self._sent.read())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_a_client_sends_only_tls_errors_come_of_it(server_pair, clients, data):
    """Any other exception would be a stack trace in the server's log."""
    context = any_client(server_pair.certificate, server_pair.key)
    position, change = data.draw(st.integers(0, 3_000)), data.draw(st.integers(1, 255))
    passed = 0

    def spoil(sent: bytes) -> bytes:
        nonlocal passed
        changed = bytearray(sent)
        if passed <= position < passed + len(sent):
            changed[position - passed] ^= change
        passed += len(sent)
        return bytes(changed)

    try:
        wire = _Wire(context, clients["self-signed"], spoil)
        # The version in the very first record's head is the one byte that TLS does not protect.
        assert not wire.complete or position >= passed or position == 2
    except ssl.SSLError:
        assert position < passed


@given(st.binary(max_size=300), st.booleans())
def test_noise_instead_of_a_handshake_is_a_tls_error(server_pair, noise, like_tls):
    to_server = ssl.MemoryBIO()
    context = any_client(server_pair.certificate, server_pair.key)
    tls = context.wrap_bio(to_server, ssl.MemoryBIO(), server_side=True)
    header = b"\x16\x03\x01" + len(noise).to_bytes(2, "big") if like_tls else b""
    to_server.write(header + noise)
    with pytest.raises(ssl.SSLError):
        tls.do_handshake()


def test_what_is_not_asked_for_stays_where_the_transport_counts_it(server_pair):
    """Else a client could send without end while its last request is being answered."""
    wire = _Wire(any_client(server_pair.certificate, server_pair.key))
    for _ in range(64):
        wire.send(b"x" * 16_000)
    waiting = wire.to_server.pending
    assert wire.server.write(b"answer") == 6
    assert wire.to_server.pending == waiting
    assert wire.server.read(100) == b"x" * 100
    assert wire.to_server.pending > waiting - 150_000


def test_reads_writes_and_facts_of_a_connection(server_pair):
    pair = self_signed("client")
    wire = _Wire(any_client(server_pair.certificate, server_pair.key), pair)
    assert wire.server.version() == "TLSv1.3"
    assert wire.server.cipher() == wire.client.cipher()
    assert wire.server.compression() is None
    assert wire.server.selected_alpn_protocol() is None
    assert fingerprint(wire.server.getpeercert(True)) == fingerprint(pair.certificate)
    assert wire.server.getpeercert() == {}
    wire.send(b"hello")
    into = bytearray(3)
    assert wire.server.read(3, memoryview(into)) == 3
    assert (bytes(into), wire.server.pending()) == (b"hel", 2)
    assert wire.server.read() == b"lo"
    with pytest.raises(ssl.SSLWantReadError):
        wire.server.read()
    with pytest.raises(ssl.SSLWantReadError):
        wire.server.unwrap()
    wire.close_client()
    wire.server.unwrap()


def test_the_end_of_the_peer_is_an_empty_read_if_said_and_an_error_if_not(server_pair):
    context = any_client(server_pair.certificate, server_pair.key)
    wire = _Wire(context)
    wire.close_client()
    assert wire.server.read() == b""
    wire = _Wire(context)
    wire.to_server.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        wire.server.read()


def _read_all(tls: ssl.SSLObject) -> None:
    while tls.read(65_536):
        pass


async def test_a_client_that_does_not_read_is_not_sent_far_ahead_and_is_cut_off(start, server_pair):
    """The server must not encrypt and hold 40 MB for a client that takes none of it."""
    handed_over = asyncio.Event()

    async def large(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(40_000_000)})
            handed_over.set()

    tls = any_client(server_pair.certificate, server_pair.key)
    bound = await start(tls, app=large, limits=Limits(stalled=0.6))

    def connect() -> ssl.SSLSocket:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        raw.connect((bound.host, bound.port))
        secured = _client(None).wrap_socket(raw)
        secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return secured

    client = await asyncio.to_thread(connect)
    await asyncio.sleep(0.3)
    assert not handed_over.is_set()
    await asyncio.wait_for(handed_over.wait(), 10)  # into nothing: the client was cut off
    client.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""


async def _still_works(server) -> None:
    async with httpx.AsyncClient(verify=unverified_client()) as client:
        assert (await client.get(server.url)).status_code == 200


async def test_the_server_shows_its_whole_chain(server, authority):
    async with httpx.AsyncClient(verify=pinned_client([fingerprint(authority.certificate)])) as one:
        assert (await one.get(server.url)).status_code == 200
