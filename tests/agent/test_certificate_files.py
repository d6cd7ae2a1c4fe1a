from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from deodar.agent.certificate_checks import facts_of_pem
from deodar.agent.certificate_files import read_client, read_server
from deodar.agent.certificates import CLIENT, SERVER, Certificates
from deodar.agent.errors import CertificateRefused
from deodar.kit.directory import StateDirectory
from deodar.tasks.errors import InsecurePath
from deodar.tls import certificates as tls
from deodar.tls.certificates import Pair, der, issue_client, issue_server, make_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LATER = datetime.now(UTC) + timedelta(days=36_500)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return tls.make_authority("ours")


@pytest.fixture(scope="module")
def client(authority: Pair) -> Pair:
    request, key = make_request("agent")
    return Pair(issue_client(authority, request, "agent"), key)


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    return write


def pfx(pair: Pair, password: bytes | None, more: bytes = b"") -> bytes:
    key: Any = serialization.load_pem_private_key(pair.key, None)
    rest = x509.load_pem_x509_certificates(more) if more else None
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    own = x509.load_pem_x509_certificate(pair.certificate)
    return pkcs12.serialize_key_and_certificates(b"agent", key, own, rest, encryption)


def signed(key: Any, public: Any) -> bytes:
    """Return a certificate of any key, signed by another."""
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(tls._name("odd"))
        .issuer_name(tls._name("issuer"))
        .public_key(public)
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
    )
    return tls.certificate_pem(made.sign(key, hashes.SHA256()))


@pytest.mark.parametrize("form", ["pem", "der"])
def test_server_certificate_is_taken_with_its_facts(
    put: Callable[[bytes], Path], authority: Pair, tmp_path: Path, form: str
) -> None:
    data = authority.certificate if form == "pem" else der(authority.certificate)
    taken = read_server(put(data))
    facts = taken.facts
    assert facts.subject == "CN=ours"
    assert facts.is_authority
    assert facts.key == "EC secp256r1"
    assert facts.sha256 == tls.fingerprint(authority.certificate)
    assert facts.not_after.endswith("Z")
    assert taken.warnings == []
    Certificates(StateDirectory.create(tmp_path / "a")).set(SERVER, taken.pem, facts)


def test_server_files_that_are_no_single_certificate_are_refused(
    put: Callable[[bytes], Path], authority: Pair, client: Pair, tmp_path: Path
) -> None:
    server = issue_server(authority, ["h"])
    for data, reason in (
        (server.certificate, "has 2 certificates"),
        (authority.pem, "private key in it"),
        (b"nonsense", "neither PEM nor DER"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "neither PEM nor DER"),
        (der(authority.certificate)[:-9], "neither PEM nor DER"),
        (b"", "is empty"),
        (b"\x30" * (1 << 21), "is larger than"),
        (client.certificate, "not a server's certificate"),
        (pfx(client, None), "is a PFX container; give the certificate alone"),
    ):
        with pytest.raises(CertificateRefused, match=reason):
            read_server(put(data))
    with pytest.raises(CertificateRefused, match="is no file"):
        read_server(tmp_path)
    with pytest.raises(CertificateRefused, match="is no file"):
        read_server(tmp_path / "missing")


def test_dates_are_checked_and_a_near_end_is_told(
    put: Callable[[bytes], Path], authority: Pair
) -> None:
    path = put(authority.certificate)
    end = datetime.fromisoformat(facts_of_pem(SERVER, authority.certificate).not_after)
    with pytest.raises(CertificateRefused, match="has expired"):
        read_server(path, now=LATER)
    with pytest.raises(CertificateRefused, match=r"not valid before .* clock"):
        read_server(path, now=datetime(2001, 1, 1, tzinfo=UTC))
    assert (
        "expires in 29 days" in read_server(path, now=end - timedelta(days=29, hours=1)).warnings[0]
    )
    assert read_server(path, now=end - timedelta(days=31)).warnings == []


def test_weak_certificates_are_refused(put: Callable[[bytes], Path]) -> None:
    strong = ec.generate_private_key(ec.SECP256R1())
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    old = dsa.generate_private_key(2048)
    small = ec.generate_private_key(ec.SECP192R1())
    for data, reason in (
        (signed(strong, short.public_key()), "RSA key of 1024 bits is too short"),
        (signed(strong, small.public_key()), "EC key of 192 bits is too short"),
        (signed(strong, old.public_key()), "does not use any more"),
    ):
        with pytest.raises(CertificateRefused, match=reason):
            read_server(put(data))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
def test_signature_that_can_be_forged_is_refused(tmp_path: Path, authority: Pair) -> None:
    request, _ = make_request("old")
    (tmp_path / "request").write_bytes(request)
    (tmp_path / "ca").write_bytes(authority.pem)
    words = "openssl x509 -req -sha1 -in request -CA ca -CAkey ca -set_serial 1 -out out"
    subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "out").chmod(0o600)
    with pytest.raises(CertificateRefused, match="SHA1, which can be forged"):
        read_server(tmp_path / "out")


@pytest.mark.parametrize("password", [None, b"secret", "пароль".encode()])
def test_pfx_is_opened_with_and_without_password(
    put: Callable[[bytes], Path], client: Pair, authority: Pair, tmp_path: Path, password: Any
) -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        return (password or b"").decode()

    taken = read_client(put(pfx(client, password, authority.certificate)), ask)
    assert len(asked) == (0 if password is None else 1)
    assert taken.facts.subject == "CN=agent"
    assert not taken.facts.is_authority
    assert taken.pem.count("BEGIN CERTIFICATE") == 2
    Certificates(StateDirectory.create(tmp_path / "a")).set(CLIENT, taken.pem, taken.facts)


def test_wrong_password_is_asked_again_three_times_at_most(
    put: Callable[[bytes], Path], client: Pair
) -> None:
    path = put(pfx(client, b"right"))
    answers = iter(["wrong", "worse", "right"])
    assert read_client(path, lambda: next(answers)).facts.subject == "CN=agent"
    asked: list[int] = []
    with pytest.raises(CertificateRefused, match="not the password"):
        read_client(path, lambda: asked.append(1) or "wrong")
    assert len(asked) == 3
    with pytest.raises(CertificateRefused, match="protected by a password"):
        read_client(path)
    with pytest.raises(CertificateRefused, match="not the password"):
        read_client(path, lambda: None)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
@pytest.mark.parametrize("cipher", ["PBE-SHA1-RC2-40", "PBE-SHA1-3DES"])
def test_pfx_with_old_ciphers_is_opened(
    put: Callable[[bytes], Path], client: Pair, tmp_path: Path, cipher: str
) -> None:
    pem, out = put(client.pem), tmp_path / "old.pfx"
    words = ["openssl", "pkcs12", "-export", "-legacy", "-in", pem, "-out", out]
    words += ["-passout", "pass:p", "-certpbe", cipher, "-keypbe", "PBE-SHA1-3DES"]
    subprocess.run([*map(str, words), "-macalg", "sha1"], check=True, capture_output=True)
    out.chmod(0o600)
    assert read_client(out, lambda: "p").facts.subject == "CN=agent"


@pytest.mark.parametrize("encrypted", [False, True])
def test_pem_pair_is_taken(put: Callable[[bytes], Path], client: Pair, encrypted: bool) -> None:
    key: Any = serialization.load_pem_private_key(client.key, None)
    text = client.key
    if encrypted:
        form = serialization.PrivateFormat.PKCS8
        lock = serialization.BestAvailableEncryption(b"p")
        text = key.private_bytes(serialization.Encoding.PEM, form, lock)
    for data in (text + client.certificate, client.certificate + text):
        taken = read_client(put(data), lambda: "p")
        assert "ENCRYPTED" not in taken.pem
        assert taken.facts.subject == "CN=agent"
    if encrypted:
        with pytest.raises(CertificateRefused, match="not the password"):
            read_client(put(text + client.certificate), lambda: "wrong")


def test_client_files_without_a_fitting_pair_are_refused(
    put: Callable[[bytes], Path], client: Pair, authority: Pair
) -> None:
    other = make_request("x")[1]
    key: Any = serialization.load_pem_private_key(client.key, None)
    only_key = pkcs12.serialize_key_and_certificates(
        None, key, None, None, serialization.NoEncryption()
    )
    own = x509.load_pem_x509_certificate(client.certificate)
    only_certificate = pkcs12.serialize_key_and_certificates(
        None, None, own, None, serialization.NoEncryption()
    )
    broken = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    for data, reason in (
        (client.certificate, "has 0 private keys"),
        (client.pem + other, "has 2 private keys"),
        (other + client.certificate, "belongs to none of its 1 certificates"),
        (broken + client.certificate, "private key cannot be read"),
        (authority.pem, "not a client's certificate"),
        (issue_server(authority, ["h"]).pem, "not a client's certificate"),
        (b"nonsense", "neither PFX nor PEM"),
        (only_key, "no certificate"),
        (only_certificate, "has no private key"),
    ):
        with pytest.raises(CertificateRefused, match=reason):
            read_client(put(data))
    with pytest.raises(CertificateRefused, match="has expired"):
        read_client(put(client.pem), now=LATER)


def test_file_that_others_may_write_is_refused(
    put: Callable[[bytes], Path], authority: Pair, tmp_path: Path
) -> None:
    path = put(authority.certificate)
    path.chmod(0o666)
    with pytest.raises(InsecurePath, match="chmod go-w") as raised:
        read_server(path)
    assert raised.value.exit_code == 76
    path.chmod(0o600)
    tmp_path.chmod(0o777)
    with pytest.raises(InsecurePath, match="may be written by others"):
        read_server(path)
    tmp_path.chmod(0o1777)  # as /tmp is: nobody else can replace the file
    assert read_server(path)


def test_a_key_whose_first_line_is_damaged_is_told(tmp_path: Path) -> None:
    pair = tls.self_signed("x")
    file = tmp_path / "pair.pem"
    file.write_bytes(b"\0" + pair.pem[1:])
    with pytest.raises(CertificateRefused, match="damaged"):
        read_client(file)


def test_a_container_that_would_take_hours_to_open_is_refused_at_once(tmp_path: Path) -> None:
    pair = tls.self_signed("x")
    key = serialization.load_pem_private_key(pair.key, None)
    (own,) = x509.load_pem_x509_certificates(pair.certificate)
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(70_000).build(b"s")
    )
    file = tmp_path / "pair.pfx"
    good = pkcs12.serialize_key_and_certificates(b"x", key, own, None, encryption)
    file.write_bytes(good.replace((70_000).to_bytes(3, "big"), (0x7FFFFF).to_bytes(3, "big")))
    with pytest.raises(CertificateRefused, match="8388607 rounds"):
        read_client(file, lambda: "s")
    file.write_bytes(good)
    assert read_client(file, lambda: "s").facts.subject == "CN=x"
