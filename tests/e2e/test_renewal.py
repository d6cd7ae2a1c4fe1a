"""A real agent gets another certificate from a real server, before its own one ends."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.scripted import issue_dated
from tests.e2e.test_agent_to_edr import DEODAR, deodar, wait_for

from deodar.agent.certificate_checks import facts_of_pem
from deodar.agent.certificates import CLIENT, Certificates
from deodar.edr.installation import open_
from deodar.edr.tables import endpoints
from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.kit.directory import StateDirectory
from deodar.tls.certificates import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Pair:
    """A server and an enrolled agent, which replays events and then stays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.edr, self.agent = folder, folder / "edr", folder / "agent"
        deodar("edr", "init", "--dir", self.edr, "--host", "127.0.0.1", "--port", 0)
        command = [*DEODAR, "edr", "run", "--dir", str(self.edr)]
        self.server = Child("edr", command, folder).start()
        self.server.ready(60)
        token = json.loads(deodar("edr", "enroll", "--json", "--dir", self.edr))["token"]
        deodar("agent", "enroll", "--dir", self.agent, token)
        file = folder / "events.ndjson"
        file.write_bytes(EventBuilder(3).ndjson(10))
        words = ["agent", "run", "--dir", str(self.agent), "--replay", str(file)]
        self._words = [sys.executable, "-m", "deodar", *words]
        self.child: Child | None = None

    def start(self) -> None:
        self.child = Child("agent", self._words, self.folder).start()

    @property
    def endpoint(self) -> dict[str, Any]:
        (line,) = deodar("edr", "endpoints", "list", "--json", "--dir", self.edr).splitlines()
        return json.loads(line)

    def renewed(self) -> dict[str, Any] | None:
        """Return the endpoint once it has synchronized with a renewed certificate."""
        found = self.endpoint
        return found if 0 < found["renewed_us"] <= found["synchronized_us"] else None

    def close(self) -> None:
        for child in (self.child, self.server):
            if child is not None and child.alive:
                child.stop()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with contextlib.closing(Pair(tmp_path)) as made:
        yield made


def test_an_administrator_lets_an_agent_renew_its_certificate(pair: Pair) -> None:
    pair.start()
    before = wait_for(lambda: (found := pair.endpoint)["synchronized_us"] and found, 60)
    deodar("agent", "certificate", "client", "renew", "--dir", pair.agent)
    after = wait_for(pair.renewed, 60)
    assert after["digest"] != before["digest"]
    assert (after["presence"], after["next_digest"]) == ("online", None)
    words = ["agent", "certificate", "client", "show", "--json", "--dir", pair.agent]
    assert json.loads(deodar(*words))["sha256"] == after["digest"]
    query = "EventType == 'CertificateChanged'"
    told = deodar("agent", "events", "--query", query, "--json", "--dir", pair.agent).splitlines()
    assert json.loads(told[-1])["Initiator"] == "Product"


def test_an_old_certificate_is_renewed_by_itself(pair: Pair) -> None:
    installation = open_(pair.edr)
    identity = pair.endpoint["agent_id"]
    old = issue_dated(
        installation.authority, -timedelta(days=100), timedelta(days=40), client=identity
    )
    facts = facts_of_pem(CLIENT, old.certificate)
    Certificates(StateDirectory(pair.agent)).set(CLIENT, old.pem.decode(), facts)
    with contextlib.closing(installation.database()) as database, database.write() as connection:
        digest = fingerprint(old.certificate)
        connection.execute(endpoints.update().values(digest=digest))
    pair.start()
    after = wait_for(pair.renewed, 60)
    assert after["agent_id"] == identity
    assert after["digest"] != digest
    left = after["not_after_us"] - after["renewed_us"]
    assert left > 360 * 86_400e6
