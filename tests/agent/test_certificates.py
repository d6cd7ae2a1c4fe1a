from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.certificate_checks import facts_of_pem
from deodar.agent.certificate_facts import moment
from deodar.agent.certificates import CLIENT, SERVER, CertificateFacts, Certificates
from deodar.agent.errors import CertificateRefused, NoCertificate
from deodar.kit.directory import StateDirectory
from deodar.tls import certificates as tls
from deodar.tls.certificates import Pair, fingerprint, issue_client, issue_server, make_request

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


@pytest.fixture
def certificates(directory: StateDirectory) -> Certificates:
    return Certificates(directory)


@pytest.fixture(scope="module")
def authority() -> Pair:
    return tls.make_authority("ours")


@pytest.fixture(scope="module")
def client(authority: Pair) -> Pair:
    request, key = make_request("agent")
    return Pair(issue_client(authority, request, "agent"), key)


def leaf(pair: Pair) -> bytes:
    return pair.certificate.partition(b"-----END CERTIFICATE-----\n")[0] + (
        b"-----END CERTIFICATE-----\n"
    )


def handshake(context: ssl.SSLContext, server: Pair, folder: Path, trust: bytes = b"") -> str:
    """Return "" when both sides speak, else the client's error."""
    pem = folder / "server-side.pem"
    pem.write_bytes(server.pem)
    side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    side.load_cert_chain(pem)
    if trust:
        side.load_verify_locations(cadata=trust.decode())
        side.verify_mode = ssl.CERT_REQUIRED
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with side.wrap_socket(theirs, server_side=True) as connection:
                connection.send(b"x" if not trust or connection.getpeercert() else b"")
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ours.settimeout(10)
    try:
        with context.wrap_socket(ours) as connection:
            return "" if connection.recv(1) == b"x" else "closed"
    except OSError as error:
        return str(error)
    finally:
        ours.close()
        thread.join(10)


def dated(authority: Pair, begin: datetime, end: datetime) -> Pair:
    """Return a server's pair that is valid between two moments."""
    key = tls.ec.generate_private_key(tls.ec.SECP256R1())
    draft = tls._end_entity(tls._name("127.0.0.1"), key.public_key(), 1, (tls._SERVER,))
    draft._not_valid_before = draft._not_valid_after = None
    draft = draft.not_valid_before(begin).not_valid_after(end)
    return Pair(tls._issue(draft, authority), tls.key_pem(key))


@pytest.mark.parametrize("pinned", ["leaf", "authority"])
def test_right_server_is_trusted_by_itself_or_by_its_authority(
    certificates: Certificates, authority: Pair, tmp_path: Path, pinned: str
) -> None:
    server = issue_server(authority, ["127.0.0.1"])
    certificates.set(SERVER, (leaf(server) if pinned == "leaf" else authority.certificate).decode())
    context = certificates.context(use_client=False)
    assert handshake(context, server, tmp_path) == ""
    assert handshake(context, Pair(leaf(server), server.key), tmp_path) == ""
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_self_signed_server_is_trusted_by_itself(
    certificates: Certificates, tmp_path: Path
) -> None:
    server = tls.self_signed("edr")
    certificates.set(SERVER, server.certificate.decode())
    assert handshake(certificates.context(use_client=False), server, tmp_path) == ""


def test_other_server_of_the_authority_is_not_the_pinned_one(
    certificates: Certificates, authority: Pair, tmp_path: Path
) -> None:
    pinned, other = (issue_server(authority, ["127.0.0.1"]) for _ in range(2))
    certificates.set(SERVER, leaf(pinned).decode())
    context = certificates.context(use_client=False)
    assert "certificate verify failed" in handshake(context, other, tmp_path)


def test_server_of_another_authority_is_refused(
    certificates: Certificates, authority: Pair, tmp_path: Path
) -> None:
    certificates.set(SERVER, authority.certificate.decode())
    other = issue_server(tls.make_authority("ours"), ["127.0.0.1"])
    error = handshake(certificates.context(use_client=False), other, tmp_path)
    assert "certificate verify failed" in error


def test_client_of_the_authority_is_no_server(
    certificates: Certificates, authority: Pair, client: Pair, tmp_path: Path
) -> None:
    certificates.set(SERVER, authority.certificate.decode())
    error = handshake(certificates.context(use_client=False), client, tmp_path)
    assert "certificate verify failed" in error


@pytest.mark.parametrize("pinned", ["leaf", "authority"])
def test_expired_server_is_refused_and_the_reason_named(
    certificates: Certificates, authority: Pair, tmp_path: Path, pinned: str
) -> None:
    now = datetime.now(UTC)
    expired = dated(authority, now - timedelta(days=9), now - timedelta(days=1))
    certificates.set(
        SERVER, (leaf(expired) if pinned == "leaf" else authority.certificate).decode()
    )
    error = handshake(certificates.context(use_client=False), expired, tmp_path)
    assert "certificate has expired" in error


@pytest.mark.setting("KATAEDR.UseClientPinnedCertificate")
def test_own_certificate_is_shown_when_it_shall_be(
    certificates: Certificates, authority: Pair, client: Pair, tmp_path: Path, saw: Any
) -> None:
    server = issue_server(authority, ["127.0.0.1"])
    certificates.set(SERVER, authority.certificate.decode())
    certificates.set(CLIENT, client.pem.decode())
    shown = certificates.context(use_client=True)
    assert handshake(shown, server, tmp_path, authority.certificate) == ""
    hidden = certificates.context(use_client=False)
    error = handshake(hidden, server, tmp_path, authority.certificate)
    assert error != ""
    saw(
        "KATAEDR.UseClientPinnedCertificate",
        "a server that demands a client certificate let the agent in with Yes, and not with No",
    )


def test_changed_certificate_is_told_and_used_by_the_next_context(
    certificates: Certificates, authority: Pair, tmp_path: Path
) -> None:
    heard: list[str] = []
    certificates.subscribe(heard.append)
    first, second = tls.self_signed("a"), tls.self_signed("b")
    certificates.set(SERVER, first.certificate.decode())
    assert "verify failed" in handshake(certificates.context(use_client=False), second, tmp_path)
    certificates.set(SERVER, second.certificate.decode())
    assert handshake(certificates.context(use_client=False), second, tmp_path) == ""
    assert certificates.remove(SERVER)
    assert not certificates.remove(SERVER)
    assert heard == [SERVER, SERVER, SERVER]


def test_listener_that_fails_does_not_undo_the_change(
    certificates: Certificates, authority: Pair
) -> None:
    def fail(kind: str) -> None:
        raise RuntimeError(kind)

    certificates.subscribe(fail)
    certificates.set(SERVER, authority.certificate.decode())
    assert certificates.has(SERVER)


def test_listener_may_wait_for_one_who_wants_a_context(
    certificates: Certificates, authority: Pair
) -> None:
    made: list[object] = []

    def wait(_kind: str) -> None:
        other = threading.Thread(target=lambda: made.append(certificates.context(use_client=False)))
        other.start()
        other.join(10)

    certificates.subscribe(wait)
    certificates.set(SERVER, authority.certificate.decode())
    assert made


def test_files_are_for_their_owner_only(
    certificates: Certificates, directory: StateDirectory, client: Pair
) -> None:
    certificates.set(CLIENT, client.pem.decode())
    for name in ("client.crt", "client.key", "certificates.json"):
        assert stat.S_IMODE((directory.path / name).stat().st_mode) == 0o600
    assert b"PRIVATE" not in directory.read("client.crt")
    certificates.remove(CLIENT)
    assert not directory.has("client.key")


@pytest.mark.parametrize("kind", [SERVER, CLIENT])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "é",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
        "x" * (1 << 21),
    ],
)
def test_what_tls_cannot_use_is_refused_and_the_old_one_stays(
    certificates: Certificates, authority: Pair, client: Pair, kind: str, text: str
) -> None:
    old = authority.certificate if kind == SERVER else client.pem
    before = certificates.set(kind, old.decode())
    with pytest.raises(CertificateRefused) as raised:
        certificates.set(kind, text)
    assert raised.value.exit_code == 65
    assert certificates.describe(kind) == before


def test_key_goes_with_the_client_only(
    certificates: Certificates, authority: Pair, client: Pair
) -> None:
    with pytest.raises(CertificateRefused, match="private key in it"):
        certificates.set(SERVER, authority.pem.decode())
    with pytest.raises(CertificateRefused, match="needs its private key"):
        certificates.set(CLIENT, client.certificate.decode())
    with pytest.raises(CertificateRefused, match=r"mismatch|cannot be used"):
        certificates.set(CLIENT, (make_request("x")[1] + client.certificate).decode())
    with pytest.raises(CertificateRefused, match="server, client"):
        certificates.set("proxy", authority.certificate.decode())


def test_facts_about_another_certificate_are_refused(
    certificates: Certificates, authority: Pair, client: Pair
) -> None:
    facts = facts_of_pem(SERVER, client.certificate)
    with pytest.raises(CertificateRefused, match="another certificate"):
        certificates.set(SERVER, authority.certificate.decode(), facts)


def test_facts_are_kept_for_the_file_that_they_are_about(
    directory: StateDirectory, authority: Pair
) -> None:
    pem = authority.certificate
    facts = facts_of_pem(SERVER, pem)
    Certificates(directory).set(SERVER, pem.decode(), facts)
    again = Certificates(directory)
    assert again.describe(SERVER) == facts
    assert again.known() == [facts]
    other = tls.make_authority("by hand").certificate
    directory.write_secret("server.crt", other)
    found = again.describe(SERVER)
    assert found == CertificateFacts(kind=SERVER, sha256=fingerprint(other))
    directory.write_secret("server.crt", b"damaged")
    assert again.describe(SERVER) == CertificateFacts(kind=SERVER)
    directory.write_secret("certificates.json", b"{")
    directory.write_secret("server.crt", pem)
    assert again.describe(SERVER) == CertificateFacts(kind=SERVER, sha256=fingerprint(pem))


def test_missing_or_damaged_files_say_what_to_do(
    certificates: Certificates, directory: StateDirectory, authority: Pair, client: Pair
) -> None:
    with pytest.raises(NoCertificate, match="certificate server add"):
        certificates.context(use_client=False)
    certificates.set(SERVER, authority.certificate.decode())
    with pytest.raises(NoCertificate, match="certificate client add"):
        certificates.context(use_client=True)
    certificates.set(CLIENT, client.pem.decode())
    directory.write_secret("client.key", make_request("x")[1])
    with pytest.raises(CertificateRefused, match="certificate client add"):
        certificates.context(use_client=True)
    directory.write_secret("server.crt", b"\xff")
    with pytest.raises(CertificateRefused, match="certificate server add"):
        certificates.context(use_client=False)


def test_problems_name_what_is_missing_ending_or_over(certificates: Any, authority: Pair) -> None:
    missing = certificates.problems(0.0)
    assert len(missing) == 2
    assert all("is missing" in text for text in missing)
    assert len(certificates.problems(0.0, use_client=False)) == 1
    facts = facts_of_pem(SERVER, authority.certificate)
    certificates.set(SERVER, authority.certificate.decode(), facts)
    begin, end = moment(facts.not_before), moment(facts.not_after)
    assert begin is not None
    assert end is not None

    def told(now: float) -> list[str]:
        return list(certificates.problems(now, use_client=False))

    assert told(begin + 1) == []
    assert "is not valid before" in told(begin - 1)[0]
    assert told(end - 31 * 86400) == []
    assert "expires in 29 days" in told(end - 29 * 86400)[0]
    assert "has expired" in told(end + 1)[0]


def test_running_agent_needs_no_other_library_for_it() -> None:
    code = "import sys; import deodar.agent.administration, deodar.agent.status;print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"cryptography", "typer", "httpx", "asyncio", "sqlalchemy"}


def test_a_change_that_was_cut_off_in_between_is_completed(
    directory: StateDirectory, certificates: Certificates, client: Pair, authority: Pair
) -> None:
    certificates.set(CLIENT, client.pem.decode())
    request, key = make_request("agent")
    newer = Pair(issue_client(authority, request, "agent"), key)
    directory.write_secret("client.new", newer.pem)
    directory.write_secret("client.key", newer.key)  # killed here: the certificate is the old one
    again = Certificates(directory)
    found = again.describe(CLIENT)
    assert found is not None
    assert found.sha256 == fingerprint(newer.certificate)
    assert tls.load_pair(directory.read("client.key") + directory.read("client.crt"))
    assert not directory.has("client.new")


def test_a_damaged_rest_of_a_change_is_passed_over(
    directory: StateDirectory, certificates: Certificates, client: Pair
) -> None:
    certificates.set(CLIENT, client.pem.decode())
    directory.write_secret("client.new", b"\xff nonsense")
    found = Certificates(directory).describe(CLIENT)
    assert found is not None
    assert found.sha256 == fingerprint(client.certificate)
