from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys

import httpx
import pytest

from deodar.tls.certificates import (
    Pair,
    fingerprint,
    issue_client,
    issue_server,
    make_authority,
    make_request,
    self_signed,
)
from deodar.tls.contexts import any_client, first_use_client, pinned_client, unverified_client
from deodar.tls.errors import CertificateError, PinError


async def _status(context: ssl.SSLContext, url: str) -> int:
    """Ask by an asyncio client and by a blocking one; both must agree."""

    def blocking() -> int:
        with httpx.Client(verify=context) as client:
            return client.get(url).status_code

    async with httpx.AsyncClient(verify=context) as client:
        status = (await client.get(url)).status_code
    assert await asyncio.to_thread(blocking) == status
    return status


async def _refusals(context: ssl.SSLContext, url: str) -> list[str]:
    """What an asyncio client and a blocking one say of a server that they do not accept."""

    def blocking() -> str:
        with httpx.Client(verify=context) as client, pytest.raises(httpx.ConnectError) as refusal:
            client.get(url)
        return str(refusal.value)

    async with httpx.AsyncClient(verify=context) as client:
        with pytest.raises(httpx.ConnectError) as refusal:
            await client.get(url)
    return [str(refusal.value), await asyncio.to_thread(blocking)]


async def test_a_server_is_known_by_its_own_fingerprint(server, server_pair):
    pin = fingerprint(server_pair.certificate)
    assert await _status(pinned_client([pin]), server.url) == 200
    colons = ":".join(pin[i : i + 2] for i in range(0, 64, 2)).upper()
    assert await _status(pinned_client(["0" * 64, f"sha256:{colons} "]), server.url) == 200


async def test_a_server_is_known_by_its_authority(server, authority):
    assert await _status(pinned_client([fingerprint(authority.certificate)]), server.url) == 200
    assert await _status(pinned_client(authority.certificate), server.url) == 200


async def test_another_server_is_refused_with_both_fingerprints(server, server_pair):
    for refusal in await _refusals(pinned_client(["ab" * 32]), server.url):
        assert "this is another server" in refusal
        assert fingerprint(server_pair.certificate) in refusal
        assert "ab" * 32 in refusal
    other = make_authority("Test authority")  # the same name, another key
    for refusal in await _refusals(pinned_client(other.certificate), server.url):
        assert "certificate" in refusal.lower()


async def test_an_authority_shown_along_must_really_have_issued_the_certificate(start, authority):
    """Anybody can show the pinned authority's certificate: it is public."""
    liar = issue_server(make_authority("Test authority"), ["localhost"])
    chain = Pair(liar.certificate[: liar.certificate.index(b"-----END") + 26], liar.key)
    assert chain.certificate.count(b"BEGIN") == 1
    bound = await start(any_client(chain.certificate + authority.certificate, liar.key))
    pinned = pinned_client([fingerprint(authority.certificate)])
    for refusal in await _refusals(pinned, bound.url):
        assert "was not issued by this authority" in refusal


async def test_an_enrolled_client_cannot_play_the_server(start, authority):
    request, key = make_request("agent")
    certificate = issue_client(authority, request, "agent") + authority.certificate
    bound = await start(any_client(certificate, key))
    pinned = pinned_client([fingerprint(authority.certificate)])
    for refusal in await _refusals(pinned, bound.url):
        assert "was issued for another purpose" in refusal
    for refusal in await _refusals(pinned_client(authority.certificate), bound.url):
        assert "purpose" in refusal


async def test_the_dates_count_under_an_authority_and_not_under_the_servers_own_pin(
    start, authority, clients
):
    expired = issue_server(authority, ["localhost"], days=0)
    bound = await start(any_client(expired.certificate, expired.key))
    pinned = pinned_client([fingerprint(authority.certificate)])
    for refusal in await _refusals(pinned, bound.url):
        assert "has expired" in refusal
    assert await _status(pinned_client([fingerprint(expired.certificate)]), bound.url) == 200
    old = clients["expired"]
    bound = await start(any_client(old.certificate, old.key))
    assert await _status(pinned_client([fingerprint(old.certificate)]), bound.url) == 200


async def test_names_are_compared_only_when_asked_for(start, authority):
    pair = issue_server(authority, ["edr.example"])
    bound = await start(any_client(pair.certificate, pair.key))
    assert await _status(pinned_client(authority.certificate), bound.url) == 200
    strict = pinned_client(authority.certificate, host_names=True)
    for refusal in await _refusals(strict, bound.url):
        assert "IP address mismatch" in refusal
    with pytest.raises(PinError, match="PEM"):
        pinned_client(["ab" * 32], host_names=True)


async def test_names_that_fit_are_accepted(server, authority):
    strict = pinned_client(authority.certificate, host_names=True)
    assert await _status(strict, server.url) == 200
    assert await _status(strict, server.url.replace("127.0.0.1", "localhost")) == 200


async def test_a_pair_is_shown_to_the_server(server, clients, server_pair):
    for kind in ("self-signed", "issued", "expired"):
        pair = clients[kind]
        context = pinned_client([fingerprint(server_pair.certificate)], pair)
        async with httpx.AsyncClient(verify=context) as client:
            digest = (await client.get(server.url)).json()["digest"]
        assert digest == fingerprint(pair.certificate)


async def test_an_unverified_client_talks_to_anybody(start, clients):
    old = clients["expired"]
    bound = await start(any_client(old.certificate, old.key))
    assert await _status(unverified_client(), bound.url) == 200


async def test_the_first_server_is_trusted_and_no_other_from_then_on(server, start, server_pair):
    learned: list[str] = []
    context = first_use_client("", learned.append)
    assert await _status(context, server.url) == 200
    assert await _status(context, server.url) == 200
    assert learned == [fingerprint(server_pair.certificate)]
    other = self_signed("other")
    bound = await start(any_client(other.certificate, other.key))
    for again in (context, first_use_client(learned[0], learned.append)):
        for text in await _refusals(again, bound.url):
            assert "another server" in text
    assert len(learned) == 1


async def test_a_server_that_cannot_be_remembered_is_not_trusted(server):
    def refuse(_digest: str) -> None:
        raise ssl.SSLCertVerificationError(1, "no disk")

    for text in await _refusals(first_use_client("", refuse), server.url):
        assert "no disk" in text


@pytest.mark.parametrize("pin", ["", "abcd", "g" * 64, "a" * 63, "a" * 65])
def test_what_is_no_fingerprint_is_told(pin):
    with pytest.raises(PinError, match="64 hex digits"):
        pinned_client([pin])


def test_a_pin_alone_may_stand_for_a_list_and_an_empty_list_for_nothing():
    assert pinned_client("ab" * 32).pins == ("ab" * 32,)
    with pytest.raises(PinError, match="at least one"):
        pinned_client([])


def test_unusable_pairs_and_authorities_are_told():
    one, other = self_signed("one"), self_signed("other")
    with pytest.raises(CertificateError, match="cannot be used"):
        pinned_client(["ab" * 32], Pair(one.certificate, other.key))
    with pytest.raises(CertificateError, match="no certificate found"):
        pinned_client(b"no PEM")


def test_a_client_needs_no_pyopenssl():
    """An agent's installation does not have it."""
    code = "import sys; sys.modules['OpenSSL'] = None; import deodar.tls.contexts as c; "
    code += "c.pinned_client(['ab' * 32])"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
