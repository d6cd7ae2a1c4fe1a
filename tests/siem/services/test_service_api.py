"""The core's side, asked by HTTP as a service would, without the network between."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from tests.siem.services.conftest import SET, paired, report

from deodar.siem.services.service_api import ServiceApi
from deodar.siem.services.wire import Issued, Orders, PairRequest, SetSettings
from deodar.tls.certificates import der, make_request

STRANGER = "00000000-0000-4000-8000-00000000000a"


class Asker:
    """Asks the API with a certificate or without."""

    def __init__(self, known) -> None:
        self._api = ServiceApi(known, known.home.read("authority.pem"))
        self.certificate: bytes | None = None

    async def __call__(self, method: str, path: str, body=b"") -> httpx.Response:
        async def app(scope, receive, send) -> None:
            await self._api({**scope, "client_certificate": self.certificate}, receive, send)

        transport = httpx.ASGITransport(app=app)
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with httpx.AsyncClient(transport=transport, base_url="https://core") as client:
            return await client.request(method, f"/services/v1/{path}", content=content)


@pytest.fixture
def ask(known):
    return Asker(known)


@pytest.fixture
def mine(known, service, ask):
    """A paired service that asks with its certificate; returns its id."""
    given, _key = paired(known, "branch-1")
    ask.certificate = der(given.certificate)
    return service.id


async def test_from_token_to_certificate(known, service, ask):
    token = known.pairing.invite("branch-1").token
    asked = PairRequest(token, make_request("x")[0].decode())
    answer = await ask("POST", f"{service.id}/pair", asked)
    issued = msgspec.json.decode(answer.content, type=Issued)
    assert (answer.status_code, issued.name) == (200, "branch-1")
    assert issued.authority.encode() == known.home.read("authority.pem")
    again = await ask("POST", f"{service.id}/pair", asked)
    assert again.status_code == 403
    assert "outdated" in again.json()["error"]


async def test_a_report_is_answered_with_orders_and_settings_come_with_files(known, ask, mine):
    answer = await ask("POST", f"{mine}/report", report())
    assert msgspec.json.decode(answer.content, type=Orders).version == 1
    answer = await ask("GET", f"{mine}/settings")
    settings = msgspec.json.decode(answer.content, type=SetSettings)
    assert (settings.version, settings.folder) == (1, "versions/1")
    assert b"PRIVATE KEY" in settings.files["secret.pem"]
    assert f'service_id = "{mine}"' in settings.settings


async def test_another_certificate_by_the_present_one(known, ask, mine):
    answer = await ask("POST", f"{mine}/renew", {"request": make_request("x")[0].decode()})
    assert msgspec.json.decode(answer.content, type=Issued).recovery


async def test_one_service_cannot_speak_for_another(known, ask, mine):
    known.sets.save("other", SET)
    other = known.register.add("other-1", "other", "t")
    answer = await ask("GET", f"{other.id}/settings")
    assert answer.status_code == 403
    assert "another service" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "what", "body", "status"),
    [
        ("GET", "report", b"", 404),
        ("POST", "unknown", b"", 404),
        ("POST", "report", b"{", 400),
        ("POST", "report", b'{"boot": 1}', 400),
        ("POST", "report", b" " * (2 << 20), 413),
    ],
)
async def test_a_bad_request_is_told(ask, mine, method, what, body, status):
    answer = await ask(method, f"{mine}/{what}", body)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_strangers_learn_nothing(known, service, ask):
    for path in (f"{service.id}/settings", f"{STRANGER}/settings"):
        assert (await ask("GET", path)).status_code == 403
    assert (await ask("GET", "../x")).status_code == 404
    pair = PairRequest("guess", make_request("x")[0].decode())
    answers = [await ask("POST", f"{id_}/pair", pair) for id_ in (service.id, STRANGER)]
    assert answers[0].content == answers[1].content
    assert answers[0].status_code == 403


async def test_a_reset_and_a_deletion_are_told_apart(known, ask, mine):
    known.pairing.reset("branch-1", new_token=False)
    assert (await ask("POST", f"{mine}/report", report())).status_code == 401
    known.register.delete("branch-1")
    assert (await ask("POST", f"{mine}/report", report())).status_code == 410
