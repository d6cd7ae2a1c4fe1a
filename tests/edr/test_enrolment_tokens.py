from __future__ import annotations

import pytest

from deodar.edr.enrolment import Endpoints, EnrolmentRequest
from deodar.edr.enrolment_tokens import EnrolmentTokens
from deodar.edr.errors import EnrolmentRefused, NotKnown
from deodar.tls import certificates

from .conftest import read_token


def invite(database, note: str) -> str:
    return read_token(Endpoints(database).invite("https://x", "p", 60, note).token)["secret"]


def test_tokens_are_listed_newest_first_in_parts_without_secrets(database):
    secrets = [invite(database, str(n)) for n in range(5)]
    tokens = EnrolmentTokens(database)
    everything = tokens.list()
    assert [one.note for one in everything] == ["4", "3", "2", "1", "0"]
    first = tokens.list(limit=2)
    behind = (first[-1].created_us, first[-1].id)
    assert [one.note for one in first + tokens.list(behind)] == ["4", "3", "2", "1", "0"]
    assert not any(secret in str(everything) for secret in secrets)


def test_a_token_that_was_taken_back_lets_nobody_in(database):
    secret = invite(database, "x")
    tokens = EnrolmentTokens(database)
    (listed,) = tokens.list()
    assert tokens.revoke(listed.id) == listed
    authority = certificates.make_authority("a")
    request, _ = certificates.make_request("x")
    asked = EnrolmentRequest(secret, request.decode())
    with pytest.raises(EnrolmentRefused):
        Endpoints(database).enroll(authority, asked, "192.0.2.1")
    for wrong in (listed.id, "", "%", listed.id[:3]):
        with pytest.raises(NotKnown):
            tokens.revoke(wrong)


def test_who_used_a_token_is_told(database):
    secret = invite(database, "x")
    request, _ = certificates.make_request("x")
    asked = EnrolmentRequest(secret, request.decode())
    enrolled = Endpoints(database).enroll(certificates.make_authority("a"), asked, "192.0.2.1")
    (listed,) = EnrolmentTokens(database).list()
    assert listed.agent_id == enrolled.agent_id
    assert listed.used_us >= listed.created_us
