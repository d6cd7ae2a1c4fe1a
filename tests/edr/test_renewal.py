from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deodar.edr.errors import RenewalRefused
from deodar.edr.renewal import RenewalRequest, Renewals
from deodar.tls import certificates
from deodar.tls.certificates import Purpose

from .fleet_world import AUTHORITY, World


@pytest.fixture
def world(database) -> World:
    return World(database)


@pytest.fixture
def renewals(database) -> Renewals:
    return Renewals(database, AUTHORITY, lambda: 30)


def asked() -> RenewalRequest:
    return RenewalRequest(certificates.make_request("evil")[0].decode())


def test_a_renewed_certificate_is_noted_beside_the_present_one(world, renewals):
    before = world.enroll()
    renewed = renewals.renew(before, asked())
    now = datetime.now(UTC)
    issued = certificates.der(renewed.certificate.encode())
    assert certificates.check_issued(issued, AUTHORITY.certificate, now, Purpose.CLIENT) is None
    assert certificates.subject_name(issued) == before.agent_id
    end = datetime.fromtimestamp(renewed.not_after_us / 1e6, UTC)
    assert timedelta(days=29) < end - now < timedelta(days=31)
    after = world.endpoints.find(before.agent_id)
    assert after.digest == before.digest
    assert after.next_digest == certificates.fingerprint(issued)
    for digest in (after.digest, after.next_digest):
        found = world.endpoints.by_digest(digest)
        assert found is not None
        assert found.agent_id == before.agent_id


def test_an_answer_that_was_lost_is_replaced_by_the_next(world, renewals):
    endpoint = world.enroll()
    lost = certificates.fingerprint(renewals.renew(endpoint, asked()).certificate.encode())
    taken = certificates.fingerprint(renewals.renew(endpoint, asked()).certificate.encode())
    assert world.endpoints.by_digest(lost) is None
    assert world.endpoints.by_digest(taken) is not None
    assert world.endpoints.by_digest(endpoint.digest) is not None


def test_once_it_was_shown_the_one_before_is_not_good_any_more(world, renewals):
    endpoint = world.enroll()
    renewed = renewals.renew(endpoint, asked())
    noted = world.endpoints.find(endpoint.agent_id)
    shown = world.endpoints.confirm(noted)
    assert shown.digest == certificates.fingerprint(renewed.certificate.encode())
    assert (shown.next_digest, shown.not_after_us) == (None, renewed.not_after_us)
    assert shown.renewed_us > 0
    assert world.endpoints.by_digest(endpoint.digest) is None
    assert world.endpoints.confirm(noted) == shown  # two requests at once may both show it first


def test_a_request_that_is_none_is_refused_and_changes_nothing(world, renewals):
    endpoint = world.enroll()
    for text in ("", "nonsense", certificates.self_signed("x").certificate.decode()):
        with pytest.raises(RenewalRefused, match="certificate request"):
            renewals.renew(endpoint, RenewalRequest(text))
    assert world.endpoints.find(endpoint.agent_id).next_digest is None
