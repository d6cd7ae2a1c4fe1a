"""A server on real sockets, and certificates of every kind that a client may show it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from deodar.kit.serve import Endpoint, serve
from deodar.tls.certificates import (
    Pair,
    issue_client,
    issue_server,
    make_authority,
    make_request,
    self_signed,
)
from deodar.tls.contexts import any_client
from deodar.tls.pem import certificate_pem, key_pem

NAMES = ["localhost", "127.0.0.1"]


def dated(begin: timedelta, end: timedelta, key=None) -> Pair:
    """A self-signed certificate with these dates, relative to now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dated")])
    now = datetime.now(UTC)
    draft = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Pair(certificate_pem(draft.sign(key, algorithm)), key_pem(key))


@pytest.fixture(scope="session")
def authority() -> Pair:
    return make_authority("Test authority")


@pytest.fixture(scope="session")
def server_pair(authority) -> Pair:
    return issue_server(authority, NAMES)


@pytest.fixture(scope="session")
def clients(authority) -> dict[str, Pair | None]:
    """The certificates that a client may show, by name."""
    request, key = make_request("asked for")
    day = timedelta(days=1)
    return {
        "none": None,
        "self-signed": self_signed("kuma.example", names=["kuma.example", "10.0.0.7"]),
        "issued": Pair(issue_client(authority, request, "agent-1"), key),
        "expired": dated(-2 * day, -day),
        "not yet valid": dated(day, 2 * day),
        "ed25519": dated(-day, day, ed25519.Ed25519PrivateKey.generate()),
        "an authority": make_authority("Client's own authority"),
    }


async def answer(scope, receive, send) -> None:
    """Tell the client's digest and how many bytes came; /big answers with 20 MB."""
    if scope["type"] != "http":
        return
    received = hashlib.sha256()
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        received.update(message["body"])
        size, more = size + len(message["body"]), message["more_body"]
    certificate = scope["client_certificate"]
    told = {
        "digest": certificate and hashlib.sha256(certificate).hexdigest(),
        "size": size,
        "sha256": received.hexdigest(),
        "client": scope["client"],
    }
    body = json.dumps(told).encode() if scope["path"] != "/big" else bytes(range(250)) * 80_000
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def start():
    """Start servers: `await start(tls, **endpoint options)` returns what is bound."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(tls, app=answer, **options):
            stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
            endpoint = Endpoint(app, tls=tls, **options)
            running = asyncio.create_task(
                serve([endpoint], stop=stop, on_ready=ready.set_result, grace=1.0)
            )

            async def end():
                stop.set()
                await asyncio.wait_for(running, 10)

            stack.push_async_callback(end)
            await asyncio.wait(
                {asyncio.ensure_future(ready), running}, timeout=10, return_when="FIRST_COMPLETED"
            )
            return ready.result()[0]

        yield begin


@pytest.fixture
async def server(start, server_pair):
    """A server that takes any client certificate."""
    return await start(any_client(server_pair.certificate, server_pair.key))
