from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import select, update
from tests.siem.services.conftest import paired

from deodar.siem.errors import NotKnown, NotPossible, PairingRefused
from deodar.siem.services.audit import latest
from deodar.siem.services.database import now_us
from deodar.siem.services.tables import certificates, pairing_tokens
from deodar.siem.services.wire import Host, PairRequest, ReissueRequest, RenewRequest
from deodar.tls.certificates import (
    Purpose,
    check_issued,
    der,
    fingerprint,
    make_request,
    subject_name,
)


def ask(token: str) -> PairRequest:
    return PairRequest(token, make_request("x")[0].decode(), Host("host.example"))


def holder(known, pem: bytes):
    return known.pairing.holder(fingerprint(pem))


def test_a_token_gives_a_certificate_for_the_hosts_key_once(known, service):
    invitation = known.pairing.invite("branch-1")
    given = known.pairing.pair(service.id, ask(invitation.token), "192.0.2.7")
    authority, now = known.home.read("authority.pem"), datetime.now(UTC)
    for purpose in Purpose:
        assert check_issued(der(given.certificate), authority, now, purpose) is None
    assert subject_name(given.certificate) == service.id
    found = holder(known, given.certificate)
    assert (found.service_id, found.refused) == (service.id, False)
    assert known.register.find("branch-1").paired_us
    assert latest(known.database)[0].action == "service paired"
    with pytest.raises(PairingRefused, match="used or outdated"):
        known.pairing.pair(service.id, ask(invitation.token), "192.0.2.7")


def test_of_a_token_only_its_hash_is_kept_and_a_new_one_voids_it(known, service):
    first = known.pairing.invite("branch-1")
    second = known.pairing.invite("branch-1")
    with known.database.read() as connection:
        kept = connection.execute(select(pairing_tokens)).all()
    assert len(kept) == 1
    assert first.token not in str(kept)
    assert second.token not in str(kept)
    with pytest.raises(PairingRefused):
        known.pairing.pair(service.id, ask(first.token), "a")
    known.pairing.pair(service.id, ask(second.token), "a")


def test_a_token_is_of_one_service_and_ends(known, service):
    token = known.pairing.invite("branch-1").token
    for id_ in ("00000000-0000-4000-8000-000000000009", "branch-1-no"):
        with pytest.raises(PairingRefused):
            known.pairing.pair(id_, ask(token), "a")
    with known.database.write() as connection:
        connection.execute(update(pairing_tokens).values(expires_us=now_us() - 1))
    with pytest.raises(PairingRefused, match="outdated"):
        known.pairing.pair(service.id, ask(token), "a")


def test_a_bad_request_leaves_the_token_good(known, service):
    token = known.pairing.invite("branch-1").token
    with pytest.raises(PairingRefused, match="request is not good"):
        known.pairing.pair(service.id, PairRequest(token, "nonsense"), "a")
    known.pairing.pair(service.id, ask(token), "a")


def test_a_reset_refuses_at_once_and_the_recovery_secret_gets_one_other(known, service):
    given, _key = paired(known, "branch-1")
    proof = ReissueRequest(given.recovery, make_request("x")[0].decode())
    with pytest.raises(PairingRefused, match="was not reset"):
        known.pairing.reissue(service.id, proof, "a")
    known.pairing.reset("branch-1", new_token=False)
    assert holder(known, given.certificate).refused
    other = known.pairing.reissue(service.id, proof, "a")
    assert not holder(known, other.certificate).refused
    with pytest.raises(PairingRefused):
        known.pairing.reissue(service.id, proof, "a")


def test_a_reset_with_a_new_token_voids_the_recovery_secret(known, service):
    given, _key = paired(known, "branch-1")
    invitation = known.pairing.reset("branch-1", new_token=True)
    proof = ReissueRequest(given.recovery, make_request("x")[0].decode())
    with pytest.raises(PairingRefused, match="new token"):
        known.pairing.reissue(service.id, proof, "a")
    again = known.pairing.pair(service.id, ask(invitation.token), "a")
    assert not holder(known, again.certificate).refused


def test_nobody_recovers_with_nothing(known, service):
    for text in ("", "guess"):
        proof = ReissueRequest(text, make_request("x")[0].decode())
        with pytest.raises(PairingRefused):
            known.pairing.reissue(service.id, proof, "a")


def test_a_renewal_keeps_the_old_one_until_the_new_one_is_used(known, service):
    first, _key = paired(known, "branch-1")
    asked = RenewRequest(make_request("x")[0].decode())
    second = known.pairing.renew(holder(known, first.certificate), asked, "a")
    assert not holder(known, first.certificate).refused
    known.pairing.used(holder(known, first.certificate))
    assert not holder(known, second.certificate).refused
    known.pairing.used(holder(known, second.certificate))
    assert holder(known, first.certificate).refused
    with pytest.raises(PairingRefused):
        known.pairing.renew(holder(known, first.certificate), asked, "a")


def test_a_deleted_service_is_shut_out_and_a_disabled_one_is_known_as_that(known, service):
    given, _key = paired(known, "branch-1")
    known.register.disable("branch-1", disabled=True)
    assert holder(known, given.certificate).disabled
    known.register.delete("branch-1")
    found = holder(known, given.certificate)
    assert (found.refused, found.deleted) == (True, True)
    assert known.pairing.was_refused(given.certificate)


def test_the_end_of_a_certificate_is_noted(known, service):
    paired(known, "branch-1")
    with known.database.read() as connection:
        row = connection.execute(select(certificates)).one()
    days = (row.not_after_us - row.issued_us) / 86_400e6
    assert days == pytest.approx(known.settings.services.certificate_days, abs=0.1)


def test_who_is_not_known_gets_no_token(known):
    with pytest.raises(NotKnown):
        known.pairing.invite("absent")
    known.register.adopt("00000000-0000-4000-8000-000000000002", "own", "collector", "t")
    with pytest.raises(NotPossible, match="own host"):
        known.pairing.invite("own")
    assert msgspec.json.encode(latest(known.database))
