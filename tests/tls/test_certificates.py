from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from deodar.tls.certificates import (
    Pair,
    issue_client,
    issue_server,
    load_certificates,
    load_pair,
    make_authority,
    make_request,
    self_signed,
    subject_name,
    validity,
)
from deodar.tls.errors import CertificateError


def _request(key, name: str = "asked for", extensions=()) -> bytes:
    draft = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    for extension in extensions:
        draft = draft.add_extension(extension, critical=True)
    return draft.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_openssl_agrees_with_what_is_issued(tmp_path, authority, server_pair, clients):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "server.pem").write_bytes(server_pair.certificate)
    (tmp_path / "client.pem").write_bytes(clients["issued"].certificate)
    for name, purpose in (("server", "sslserver"), ("client", "sslclient")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
        command += ["-CAfile", tmp_path / "ca.pem", tmp_path / f"{name}.pem"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert run.stdout.endswith(": OK\n"), run.stderr
        other = "sslclient" if purpose == "sslserver" else "sslserver"
        command[4] = other
        assert subprocess.run(command, capture_output=True, timeout=30).returncode != 0


def test_a_servers_certificate_carries_its_names_and_its_authority(authority):
    pair = issue_server(authority, ["edr.example", "10.1.2.3", "fd00::1", "почта.рф"])
    leaf, issuer = load_certificates(pair.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["edr.example", "xn--80a1acny.xn--p1ai"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.1.2.3", "fd00::1"]
    assert subject_name(pair.certificate) == "edr.example"
    assert issuer.subject == leaf.issuer
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_a_server_without_names_or_with_an_impossible_one_is_refused(authority):
    with pytest.raises(CertificateError, match="at least one"):
        issue_server(authority, [])
    with pytest.raises(CertificateError, match="no host name"):
        issue_server(authority, ["a..b"])


def test_an_external_systems_identity_is_rsa_and_self_signed():
    (certificate,) = load_certificates(self_signed("kuma.example").certificate)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    certificate.verify_directly_issued_by(certificate)


def test_validity_begins_a_little_ago_for_clocks_that_differ():
    begin, end = validity(self_signed("x", days=10).certificate)
    now = datetime.now(UTC)
    assert timedelta(minutes=59) < now - begin < timedelta(hours=2)
    assert timedelta(days=9, hours=23) < end - now < timedelta(days=10)


def test_nothing_but_the_key_is_taken_from_a_request(authority):
    key = ec.generate_private_key(ec.SECP256R1())
    wishes = [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("edr.example")]),
        x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]),
    ]
    issued = issue_client(authority, _request(key, "root", wishes), "agent-7")
    (certificate,) = load_certificates(issued)
    assert subject_name(issued) == "agent-7"
    assert certificate.public_key() == key.public_key()
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_request_must_be_signed_by_its_own_key(authority):
    pem, _ = make_request("agent")
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER))
    position = der.index(b"agent")
    der[position] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CertificateError, match="not signed by its own key"):
        issue_client(authority, forged, "agent")


@pytest.mark.parametrize(
    "request_pem", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", b"\0"]
)
def test_what_is_no_request_is_told(authority, request_pem):
    with pytest.raises(CertificateError, match="no certificate request"):
        issue_client(authority, request_pem, "agent")


def test_weak_and_unknown_keys_are_refused(authority):
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(CertificateError, match="too weak"):
        issue_client(authority, _request(weak), "agent")
    with pytest.raises(CertificateError, match="too weak"):
        issue_client(authority, _request(ec.generate_private_key(ec.SECP224R1())), "agent")
    with pytest.raises(CertificateError, match="unknown kind"):
        issue_client(authority, _request(dsa.generate_private_key(2048)), "agent")


def test_a_certificate_needs_a_name():
    with pytest.raises(CertificateError, match="needs a name"):
        make_authority("")
    assert len(subject_name(self_signed("x" * 100).certificate)) == 64


# Loading


def test_a_pair_loads_in_any_order_and_keeps_the_other_certificates(server_pair):
    leaf, issuer = re.findall(
        rb"-----BEGIN.+?END CERTIFICATE-----\n", server_pair.certificate, re.DOTALL
    )
    for text in (
        server_pair.key + leaf + issuer,
        issuer + server_pair.key + leaf,
        b"Bag Attributes\n  friendlyName: x\n" + leaf + b"\r\ntext\r\n" + server_pair.key + issuer,
    ):
        assert load_pair(text) == server_pair
    assert load_pair(server_pair.pem) == server_pair


def test_traditional_keys_become_pkcs8():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    old = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert old.startswith(b"-----BEGIN RSA PRIVATE KEY")
    name = x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 5, now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    assert load_pair(old + certificate).key.startswith(b"-----BEGIN PRIVATE KEY")
    assert subject_name(certificate) == ""


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_an_encrypted_key_is_told(form):
    pair = self_signed("x")
    key = serialization.load_pem_private_key(pair.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(CertificateError, match="is encrypted; store it without a passphrase"):
        load_pair(locked + pair.certificate)


def test_missing_and_foreign_parts_are_told():
    one, other = self_signed("one"), self_signed("other")
    with pytest.raises(CertificateError, match="0 private keys found"):
        load_pair(one.certificate)
    with pytest.raises(CertificateError, match="2 private keys found"):
        load_pair(one.pem + other.key)
    with pytest.raises(CertificateError, match="no certificate found"):
        load_pair(one.key)
    with pytest.raises(CertificateError, match=r"no certificate here fits the key.*CN=one"):
        load_pair(one.certificate + other.key)
    with pytest.raises(CertificateError, match="0 private keys"):
        load_pair(b"")


def test_malformed_parts_are_told():
    pair = self_signed("x")
    lines = pair.certificate.splitlines(keepends=True)
    with pytest.raises(CertificateError, match="certificate cannot be read"):
        load_pair(pair.key + b"".join(lines[:5] + lines[6:]))
    lines = pair.key.splitlines(keepends=True)
    with pytest.raises(CertificateError, match="key cannot be read"):
        load_pair(b"".join(lines[:5] + lines[6:]) + pair.certificate)


def test_dates_are_looked_at(clients):
    with pytest.raises(CertificateError, match="has expired; make a new one"):
        load_pair(clients["expired"].pem)
    with pytest.raises(CertificateError, match="is not valid yet"):
        load_pair(clients["not yet valid"].pem)
    past = datetime.now(UTC) - timedelta(days=1, hours=12)
    assert load_pair(clients["expired"].pem, now=past) == clients["expired"]


def test_a_pair_is_a_value():
    assert Pair(b"c", b"k") == Pair(b"c", b"k")
    assert Pair(b"c", b"k").pem == b"kc"
