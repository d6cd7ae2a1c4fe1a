from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.tls.certificates import der, issue_server, make_authority
from deodar.tls.checks import CertificateProblem, Purpose, check_issued
from deodar.tls.errors import CertificateError

NOW = datetime.now(UTC)


def test_what_the_authority_issued_is_good_for_its_purpose_only(authority, clients, server_pair):
    client, server = der(clients["issued"].certificate), der(server_pair.certificate)
    assert check_issued(client, authority.certificate, NOW) is None
    assert check_issued(client, authority.certificate, NOW, Purpose.CLIENT) is None
    assert check_issued(server, authority.certificate, NOW, Purpose.SERVER) is None
    other = CertificateProblem.OTHER_PURPOSE
    assert check_issued(client, authority.certificate, NOW, Purpose.SERVER) is other
    assert check_issued(server, authority.certificate, NOW, Purpose.CLIENT) is other


def test_dates(authority, clients):
    client = der(clients["issued"].certificate)
    late, early = NOW + timedelta(days=366), NOW - timedelta(days=1)
    assert check_issued(client, authority.certificate, late) is CertificateProblem.EXPIRED
    assert check_issued(client, authority.certificate, early) is CertificateProblem.NOT_YET_VALID


@pytest.mark.parametrize("kind", ["self-signed", "an authority", "ed25519", "expired"])
def test_self_made_certificates_were_not_issued_here(authority, clients, kind):
    found = check_issued(der(clients[kind].certificate), authority.certificate, NOW)
    assert found is CertificateProblem.OTHER_AUTHORITY


def test_an_authority_of_the_same_name_is_another_one(clients, authority):
    twin = make_authority("Test authority")
    found = check_issued(der(clients["issued"].certificate), twin.certificate, NOW)
    assert found is CertificateProblem.OTHER_AUTHORITY


def test_the_authority_itself_is_no_end_entity(authority):
    found = check_issued(der(authority.certificate), authority.certificate, NOW)
    assert found is CertificateProblem.IS_AUTHORITY


@given(st.data())
def test_no_byte_can_be_changed(authority, clients, data):
    good = der(clients["issued"].certificate)
    position = data.draw(st.integers(0, len(good) - 1))
    flipped = bytearray(good)
    flipped[position] ^= data.draw(st.integers(1, 255))
    assert check_issued(bytes(flipped), authority.certificate, NOW) is not None


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(authority, data):
    assert check_issued(data, authority.certificate, NOW) is CertificateProblem.MALFORMED


def test_an_unreadable_authority_is_an_error(clients):
    with pytest.raises(CertificateError):
        check_issued(der(clients["issued"].certificate), b"", NOW)


def test_only_the_first_certificate_of_the_authoritys_file_counts(authority, server_pair):
    other = make_authority("other")
    pem = other.certificate + authority.certificate
    found = check_issued(der(server_pair.certificate), pem, NOW)
    assert found is CertificateProblem.OTHER_AUTHORITY
    assert check_issued(der(issue_server(other, ["x"]).certificate), pem, NOW) is None


def test_a_problem_completes_a_sentence():
    assert f"the certificate {CertificateProblem.EXPIRED}" == "the certificate has expired"
