from __future__ import annotations

import pytest

from deodar.agent.certificate_facts import (
    CLIENT,
    SERVER,
    CertificateFacts,
    check_kind,
    fingerprint,
    moment,
    parts,
    problem,
)
from deodar.agent.errors import CertificateRefused
from deodar.tls import certificates


def test_moment_of_what_is_none() -> None:
    assert moment("") is None
    assert moment("1970-01-02T00:00:00Z") == 86400.0
    assert moment("1970-01-02T00:00:00") == 86400.0, "UTC if nothing else is said"


def test_days_left_are_negative_after_the_end() -> None:
    facts = CertificateFacts(not_after="1970-01-11T00:00:00Z")
    assert facts.days_left(0.0) == 10
    assert facts.days_left(11 * 86400.0) == -1
    assert CertificateFacts().days_left(0.0) is None


def test_fingerprint_is_that_of_other_programs() -> None:
    pem = certificates.make_authority("a").certificate
    assert fingerprint(pem.decode()) == certificates.fingerprint(pem)
    with pytest.raises(ValueError, match=r".+"):
        fingerprint("nonsense")


def test_parts_of_a_pair_are_told_apart_in_any_order() -> None:
    pair = certificates.self_signed("a")
    for pem in (pair.key + pair.certificate, b"note\n" + pair.certificate + pair.key):
        assert parts(CLIENT, pem.decode()) == (pair.certificate.decode(), pair.key.decode())
    assert parts(SERVER, pair.certificate.decode()) == (pair.certificate.decode(), "")
    with pytest.raises(CertificateRefused, match="exactly one"):
        parts(CLIENT, (pair.key + pair.pem).decode())


def test_unknown_kind_names_those_that_are() -> None:
    with pytest.raises(CertificateRefused, match="server, client"):
        check_kind("proxy")


def test_certificate_of_unknown_dates_is_no_problem() -> None:
    assert problem(SERVER, CertificateFacts(), 0.0) == ""
    assert "is missing; add it with: deodar agent" in problem(SERVER, None, 0.0)
