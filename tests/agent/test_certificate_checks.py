from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from deodar.agent.certificate_checks import (
    facts_of_pem,
    fits,
    warnings_about,
    weakness,
    wrong_dates,
)
from deodar.agent.certificates import CLIENT, SERVER
from deodar.tls.certificates import (
    Pair,
    fingerprint,
    issue_client,
    issue_server,
    make_authority,
    make_request,
    self_signed,
)
from deodar.tls.errors import CertificateError


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority("ours")


def parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem)[0]


def test_facts_are_those_of_the_first_certificate(authority: Pair) -> None:
    server = issue_server(authority, ["edr.example.org"])
    facts = facts_of_pem(SERVER, server.certificate)
    assert (facts.subject, facts.issuer) == ("CN=edr.example.org", "CN=ours")
    assert facts.sha256 == fingerprint(server.certificate)
    assert not facts.is_authority
    assert facts_of_pem(SERVER, self_signed("x").certificate).key == "RSA 2048"
    with pytest.raises(CertificateError):
        facts_of_pem(SERVER, b"nonsense")


def test_certificate_fits_its_purpose(authority: Pair) -> None:
    server = parsed(issue_server(authority, ["h"]).certificate)
    client = parsed(issue_client(authority, make_request("a")[0], "a"))
    both = parsed(self_signed("x").certificate)
    assert [fits(SERVER, one) for one in (server, client, both)] == [True, False, True]
    assert [fits(CLIENT, one) for one in (server, client, both)] == [False, True, True]
    root = parsed(authority.certificate)
    assert (fits(SERVER, root), fits(CLIENT, root)) == (True, False)


def test_dates_are_told() -> None:
    found = parsed(make_authority("a", days=100).certificate)
    now = datetime.now(UTC)
    assert wrong_dates(found, now) == ""
    assert "has expired" in wrong_dates(found, now + timedelta(days=101))
    assert "is not valid before" in wrong_dates(found, now - timedelta(days=2))
    assert warnings_about(found, now) == []
    assert "expires in 10 days" in warnings_about(found, now + timedelta(days=90))[0]


def test_our_own_certificates_are_strong(authority: Pair) -> None:
    assert weakness(parsed(authority.certificate)) == ""
    assert weakness(parsed(self_signed("x").certificate)) == ""
