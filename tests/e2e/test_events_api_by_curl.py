"""An external system that is nothing but curl and a self-made certificate."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from deodar.demo.stack import Stack, deodar
from deodar.events.builders import EventBuilder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl"
)


@dataclass(frozen=True)
class Curl:
    """A client with its own certificate; `url` is the EDR server's."""

    folder: Path
    url: str
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))

    def make_certificate(self) -> None:
        self.folder.mkdir(exist_ok=True)
        words = "req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=curl -keyout k.pem -out c.pem"
        subprocess.run(
            ["openssl", *words.split()], cwd=self.folder, check=True, capture_output=True
        )

    def get(self, identity: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
        pairs = [word for pair in query.items() for word in ("--data-urlencode", "=".join(pair))]
        address = f"{self.url}/kata/events_api/v1/{identity or self.identity}/events"
        ran = subprocess.run(
            [
                *("curl", "-sS", "-k", "-G", "--cert", "c.pem", "--key", "k.pem", "-m", "60"),
                *("-w", "\n%{http_code}", *pairs, address),
            ],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        body, _, status = ran.stdout.rpartition("\n")
        return int(status), json.loads(body)


@pytest.fixture
def curl(stack: Stack, tmp_path) -> Curl:
    client = Curl(tmp_path / "curl", stack.start_edr()["url"])
    client.make_certificate()
    return client


def _import(stack: Stack, path: Path, count: int, seed: int) -> set[str]:
    events = EventBuilder(seed).events(count)
    path.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    stack.import_events(path)
    return {event["Id"] for event in events}


def test_the_whole_life_of_an_external_system(stack: Stack, curl: Curl, tmp_path):
    first = _import(stack, tmp_path / "first.ndjson", 50, seed=1)

    assert [curl.get()[0] for _ in range(3)] == [401, 401, 401]
    (pending,) = stack.external_systems()
    assert (pending["id"], pending["state"]) == (curl.identity, "pending")

    deodar("edr", "external-systems", "accept", curl.identity, "--dir", stack.edr)
    status, answer = curl.get(max_timeout="PT1S")
    assert status == 200
    assert {event["Id"] for event in answer["events"]} == first

    second = _import(stack, tmp_path / "second.ndjson", 20, seed=2)
    status, newer = curl.get(continuation_token=answer["continuationToken"], max_timeout="PT1S")
    assert status == 200
    assert {event["Id"] for event in newer["events"]} == second


def test_a_filter_that_matches_nothing_waits_and_advances(stack: Stack, curl: Curl, tmp_path):
    curl.get()
    deodar("edr", "external-systems", "accept", curl.identity, "--dir", stack.edr)
    _import(stack, tmp_path / "events.ndjson", 50, seed=3)

    began = time.monotonic()
    status, answer = curl.get(filter="FileName == 'no such file'", max_timeout="PT1.5S")
    waited = time.monotonic() - began
    assert (status, answer["events"]) == (200, [])
    assert 1.4 < waited < 10

    status, answer = curl.get(continuation_token=answer["continuationToken"], max_timeout="PT0S")
    assert (status, answer["events"]) == (200, [])


def test_the_same_certificate_under_another_id_is_a_conflict(curl: Curl):
    assert curl.get()[0] == 401
    status, answer = curl.get(identity=str(uuid.uuid4()))
    assert status == 409
    assert "already exists" in json.dumps(answer)


def test_after_rejection_and_after_deletion_it_is_401(stack: Stack, curl: Curl):
    curl.get()
    for verb in ("accept", "reject", "delete"):
        deodar("edr", "external-systems", verb, curl.identity, "--dir", stack.edr)
        status, _ = curl.get(max_timeout="PT0S")
        assert status == (200 if verb == "accept" else 401)


def test_wrong_parameters_are_named(stack: Stack, curl: Curl):
    curl.get()
    deodar("edr", "external-systems", "accept", curl.identity, "--dir", stack.edr)
    cases = {
        "max_events": ("1000000000", "max_events 1000000000 is greater than the allowed value"),
        "max_timeout": ("soon", "soon"),
        "filter": ("FileName ==", "column"),
        "continuation_token": ("nonsense", "Continuation token not found"),
    }
    for name, (value, expected) in cases.items():
        status, answer = curl.get(**{name: value})
        assert 400 <= status < 500, name
        assert expected in json.dumps(answer), name
