"""Renewal with the real helper process; the server is a function that issues certificates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from deodar.agent.answers import Answer, NoAnswer
from deodar.agent.certificate_checks import facts_of_pem
from deodar.agent.certificates import CLIENT, Certificates
from deodar.agent.renewal import PATH, TRY_EVERY, Renewal
from deodar.kit.directory import StateDirectory
from deodar.tls.certificates import issue_client, load_pair, make_authority, make_request

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0
AUTHORITY = make_authority("edr")


class Server:
    """Issues certificates, or answers as it is told to."""

    def __init__(self, days: int = 365) -> None:
        self.asked = 0
        self.days = days
        self.answer: Answer | None = None
        self.loses = False

    def ask(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        assert (path, headers["Content-Type"]) == (PATH, "application/json")
        self.asked += 1
        if self.answer is not None:
            return self.answer
        request = msgspec.json.decode(body)["request"].encode()
        issued = issue_client(AUTHORITY, request, "agent-1", self.days).decode()
        if self.loses:
            raise NoAnswer("it took too long")
        return Answer(200, msgspec.json.encode({"certificate": issued, "not_after_us": 1}))


class World:
    """An agent's folder with a certificate of some days, and its renewal."""

    def __init__(self, folder: Path, days: int = 90) -> None:
        self.directory = StateDirectory.create(folder / "agent")
        self.certificates = Certificates(self.directory)
        self.server = Server()
        self.now = 0.0
        self.renewal = Renewal(self.certificates, lambda: self.now)
        request, key = make_request("agent-1")
        issued = issue_client(AUTHORITY, request, "agent-1", days)
        facts = facts_of_pem(CLIENT, issued)
        self.certificates.set(CLIENT, (key + issued).decode(), facts)

    @property
    def digest(self) -> str:
        facts = self.certificates.describe(CLIENT)
        assert facts is not None
        return facts.sha256

    def fits(self) -> bool:
        """Whether the key and the certificate on the disk are a pair."""
        pem = self.directory.read("client.key") + self.directory.read("client.crt")
        return bool(load_pair(pem))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_is_due_when_a_third_is_left_by_the_servers_clock(world):
    now = time.time()
    assert not world.renewal.is_due(now)
    assert not world.renewal.is_due(now + 58 * DAY)
    assert world.renewal.is_due(now + 62 * DAY)  # this host's clock is two months behind
    assert not world.renewal.is_due(now - 400 * DAY)  # or a year ahead


def test_a_new_key_and_certificate_take_the_place_of_the_old_ones(world):
    told = []
    world.certificates.subscribe(lambda kind: told.append((kind, world.renewal.is_replacing)))
    before, key = world.digest, world.directory.read("client.key")
    assert world.renewal.renew(world.server.ask) == ""
    assert world.digest != before
    assert world.directory.read("client.key") != key
    assert world.fits()
    assert told == [(CLIENT, True)]
    assert not world.renewal.is_replacing
    facts = world.certificates.describe(CLIENT)
    assert facts is not None
    assert 360 < facts.days_left(time.time()) < 366
    assert facts.subject == "CN=agent-1"
    assert world.directory.path.joinpath("client.key").stat().st_mode & 0o077 == 0
    assert not world.renewal.is_due(time.time() + 62 * DAY)


def test_a_lost_answer_leaves_the_old_pair_and_is_tried_again_after_an_hour(world):
    late = time.time() + 80 * DAY
    before, world.server.loses = world.digest, True
    assert "too long" in world.renewal.renew(world.server.ask)
    assert world.digest == before
    assert world.fits()
    assert not world.renewal.is_due(late)
    world.now = TRY_EVERY
    assert world.renewal.is_due(late)
    world.server.loses = False
    assert world.renewal.renew(world.server.ask) == ""
    assert world.digest != before
    assert world.server.asked == 2


def test_an_administrator_may_want_it_at_any_time(world):
    world.renewal.renew(world.server.ask)
    assert not world.renewal.is_due(time.time())
    world.renewal.want()
    assert world.renewal.is_due(time.time())
    world.renewal.renew(world.server.ask)
    assert not world.renewal.is_due(time.time())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(404, b'{"error":"Not Found"}'), "HTTP 404: Not Found"),
        (Answer(403, b'{"error":"Forbidden: this endpoint was revoked"}'), "was revoked"),
        (Answer(200, b"<html>portal</html>"), "HTTP 200"),
        (Answer(200, b'{"certificate":"nonsense"}'), "certificate"),
    ],
)
def test_another_answer_changes_nothing_and_is_told(world, answer, words):
    before, world.server.answer = world.digest, answer
    assert words in world.renewal.renew(world.server.ask)
    assert world.digest == before
    assert world.fits()


def test_a_certificate_for_another_key_is_not_taken(world):
    other = issue_client(AUTHORITY, make_request("x")[0], "agent-1").decode()
    world.server.answer = Answer(200, msgspec.json.encode({"certificate": other}))
    before = world.digest
    assert "fits the key" in world.renewal.renew(world.server.ask)
    assert world.digest == before


def test_of_a_certificate_that_nobody_knows_it_is_never_due(tmp_path):
    directory = StateDirectory.create(tmp_path / "agent")
    renewal = Renewal(Certificates(directory))
    assert not renewal.is_due(time.time())
    request, key = make_request("agent-1")
    issued = issue_client(AUTHORITY, request, "agent-1", 1)
    directory.write_secret("client.key", key)
    directory.write_secret("client.crt", issued)
    assert not renewal.is_due(time.time() + 400 * DAY)
