from __future__ import annotations

import ssl

import pytest

from deodar.kit.errors import DeodarError
from deodar.siem.destinations.trust import TlsSettings, client_context
from deodar.tls.certificates import issue_server, make_authority, self_signed


def handshake(context: ssl.SSLContext, server_pem: bytes, folder, host: str) -> None:
    """A handshake in memory, without sockets."""
    path = folder / "server.pem"
    path.write_bytes(server_pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(path)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done = set()
    for _ in range(10):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
        if len(done) == 2:
            return
    raise AssertionError("the handshake does not end")


def test_a_pinned_server_is_known_and_another_is_not(tmp_path):
    from deodar.tls.certificates import fingerprint

    pair = self_signed("siem", names=["localhost"])
    context = client_context(TlsSettings(pins=[fingerprint(pair.certificate)]), tmp_path)
    handshake(context, pair.pem, tmp_path, "elsewhere")
    with pytest.raises(ssl.SSLCertVerificationError, match="another server"):
        handshake(context, self_signed("other").pem, tmp_path, "elsewhere")


def test_an_authority_is_asked_for_the_host_name_unless_told_otherwise(tmp_path):
    authority = make_authority("a")
    pair = issue_server(authority, ["localhost"])
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    strict = client_context(TlsSettings(ca="ca.pem"), tmp_path)
    handshake(strict, pair.pem, tmp_path, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(strict, pair.pem, tmp_path, "elsewhere.example")
    loose = client_context(TlsSettings(ca="ca.pem", host_names=False), tmp_path)
    handshake(loose, pair.pem, tmp_path, "elsewhere.example")


def test_without_any_trust_given_the_systems_authorities_decide(tmp_path):
    context = client_context(TlsSettings(), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, self_signed("x", names=["localhost"]).pem, tmp_path, "localhost")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DeodarError, match=r"nothing\.pem"):
        client_context(TlsSettings(ca="nothing.pem"), tmp_path)


def test_several_ways_of_trust_are_refused():
    assert "one of" in TlsSettings(pins=["00"], insecure=True).problem()
    assert TlsSettings(insecure=True).problem() == ""
