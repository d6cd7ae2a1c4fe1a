"""What the server lets in; `test_agent_api` shows the same over HTTPS."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from deodar.edr import agent_gate
from deodar.edr.agent_gate import AgentGate
from deodar.edr.endpoint import Endpoint
from deodar.edr.enrolment import CERTIFICATE_DAYS, Endpoints, EnrolmentRequest
from deodar.tls import certificates

from .conftest import read_token, self_made

AUTHORITY = certificates.make_authority("edr")


def request(certificate: bytes | None, agent: str = "deodar-agent/1.2") -> Request:
    headers = [(b"user-agent", agent.encode())]
    scope = {"type": "http", "headers": headers, "client": ("192.0.2.1", 1)}
    return Request({**scope, "client_certificate": certificate})


@pytest.fixture
def endpoints(database) -> Endpoints:
    return Endpoints(database)


@pytest.fixture
def enrolled(endpoints) -> bytes:
    secret = read_token(endpoints.invite("u", "p", 60).token)["secret"]
    asked = EnrolmentRequest(secret, certificates.make_request("x")[0].decode())
    return certificates.der(endpoints.enroll(AUTHORITY, asked, "").certificate.encode())


async def test_an_enrolled_agent_is_let_in_and_its_contact_noted(endpoints, enrolled):
    gate = AgentGate(endpoints, AUTHORITY)
    admitted = await gate.admit(request(enrolled))
    assert isinstance(admitted, Endpoint)
    (row,) = endpoints.list()
    assert (row.address, row.agent_version) == ("192.0.2.1", "1.2")
    assert row.last_contact_us > 0


async def test_a_contact_need_not_be_noted(endpoints, enrolled):
    assert isinstance(
        await AgentGate(endpoints, AUTHORITY).admit(request(enrolled), note=False), Endpoint
    )
    assert endpoints.list()[0].last_contact_us == 0


async def test_all_others_are_refused(endpoints, enrolled):
    gate = AgentGate(endpoints, AUTHORITY)
    for certificate, status in ((None, 401), (certificates.der(self_made().certificate), 403)):
        refused = await gate.admit(request(certificate))
        assert not isinstance(refused, Endpoint)
        assert refused.status_code == status
    await asyncio.to_thread(endpoints.revoke, endpoints.list()[0].agent_id)
    refused = await gate.admit(request(enrolled))
    assert not isinstance(refused, Endpoint)
    assert refused.status_code == 403


async def test_a_certificate_that_ended_is_refused_though_its_signature_is_remembered(
    endpoints, enrolled, monkeypatch
):
    gate = AgentGate(endpoints, AUTHORITY)
    asked = request(enrolled)
    assert isinstance(await gate.admit(asked), Endpoint)
    later = datetime.now(UTC) + timedelta(days=CERTIFICATE_DAYS + 1)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return later

    monkeypatch.setattr(agent_gate, "datetime", Later)
    monkeypatch.setattr(agent_gate.time, "time", later.timestamp)
    refused = await gate.admit(asked)
    assert not isinstance(refused, Endpoint)
    assert b"has expired" in refused.body


async def test_a_signature_is_checked_once_in_a_while(endpoints, enrolled, monkeypatch):
    checked = []
    check = agent_gate.check_issued
    monkeypatch.setattr(agent_gate, "check_issued", lambda *a: checked.append(1) or check(*a))
    gate = AgentGate(endpoints, AUTHORITY)
    for _ in range(3):
        assert isinstance(await gate.admit(request(enrolled)), Endpoint)
    assert len(checked) == 1
