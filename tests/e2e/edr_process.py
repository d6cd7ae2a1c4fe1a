"""An EDR server in a process of its own, its agents and a reader, over real TLS."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import zstandard

from deodar.demo.stack import DEODAR
from deodar.edr import installation as installations
from deodar.edr.enrolment import Endpoints
from deodar.edr.external_systems import Register
from deodar.edr.settings import EdrSettings
from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.tls import certificates, contexts

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 20.0
SETTINGS = EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",))


class EdrProcess:
    """A server whose folder is `folder`; what it logs goes below `logs`."""

    def __init__(self, folder: Path, logs: Path, settings: EdrSettings = SETTINGS) -> None:
        self.folder = folder
        self.logs = logs
        if not (folder / "edr.toml").exists():
            installations.init(folder, settings)
        self.installation = installations.open_(folder)
        words = [*DEODAR, "edr", "run", "--dir", str(folder)]
        self.child = Child("edr", words, logs)
        self.url = ""
        self.pid = 0
        """Of the server itself, whatever was put before its command."""

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.logs / "edr.log").read_text()

    def start(self, *before: str) -> EdrProcess:
        """Start it, perhaps with words `before` its command, and wait until it is ready."""
        if before:
            self.child = Child("edr", [*before, *self.child._command], self.logs)
        ready = self.child.start().ready(60)
        self.url, self.pid = str(ready["url"]), int(ready["pid"])
        return self

    def agent(self) -> Agent:
        """Enrol an agent."""
        database = self.installation.database()
        try:
            token = Endpoints(database).invite(self.url, self.installation.pin, 600).token
        finally:
            database.close()
        secret = json.loads(base64.urlsafe_b64decode(token.rpartition(":")[2] + "=="))["secret"]
        request, key = certificates.make_request("x")
        with self.client() as client:
            asked = {"token": secret, "request": request.decode(), "host": {"name": "h"}}
            answer = client.post("/agent/v1/enroll", json=asked).raise_for_status().json()
        return Agent(self, certificates.Pair(answer["certificate"].encode(), key))

    def reader(self) -> Reader:
        """Return an external system that this server has accepted."""
        return Reader(self)

    def client(self, pair: certificates.Pair | None = None) -> httpx.Client:
        """Return a client that knows this server."""
        context = contexts.pinned_client([self.installation.pin], pair)
        return httpx.Client(base_url=self.url, verify=context, timeout=LIMIT, trust_env=False)


class Agent:
    """Sends packets of events under rising numbers, and remembers what was acknowledged."""

    def __init__(self, server: EdrProcess, pair: certificates.Pair) -> None:
        self._server = server
        self._pair = pair
        self.spool = uuid.uuid4().hex
        self.bodies: dict[int, bytes] = {}
        self.ids: dict[int, set[str]] = {}
        self.acknowledged: set[int] = set()
        self.client = server.client(pair)

    def reconnect(self) -> None:
        """Speak to the server where it is now."""
        self.client.close()
        self.client = self._server.client(self._pair)

    def packet(self, number: int, events: int = 20) -> int:
        """Make a packet of events with ids of their own; returns its number."""
        builder = EventBuilder(int(self.spool[:8], 16) + number)
        made: list[dict[str, Any]] = [
            {**builder.event(), "Id": str(uuid.uuid4())} for _ in range(events)
        ]
        self.ids[number] = {event["Id"] for event in made}
        self.bodies[number] = b"\n".join(json.dumps(event).encode() for event in made)
        return number

    def send(self, number: int) -> httpx.Response:
        """Send a packet and return the answer."""
        headers = {
            "Deodar-Spool": self.spool,
            "Deodar-Packet": str(number),
            "Content-Encoding": "zstd",
        }
        body = zstandard.compress(self.bodies[number])
        answer = self.client.post("/agent/v1/packets", content=body, headers=headers)
        if answer.status_code == 200:
            self.acknowledged.add(number)
        return answer


class Reader:
    """An external system, from the first event on."""

    def __init__(self, server: EdrProcess) -> None:
        self.id = str(uuid.uuid4())
        self._pair = certificates.self_signed("reader")
        self._server = server
        self.token = ""
        assert self.get().status_code == 401
        database = server.installation.database()
        try:
            register = Register(database, server.installation.settings.external_systems)
            register.accept(self.id)
        finally:
            database.close()

    def get(self, **parameters: str) -> httpx.Response:
        """Ask once, from where the last answer ended."""
        if self.token:
            parameters = {"continuation_token": self.token, **parameters}
        path = f"/kata/events_api/v1/{self.id}/events"
        with self._server.client(self._pair) as client:
            answer = client.get(path, params={"max_timeout": "PT0S", **parameters})
        if answer.status_code == 200:
            self.token = answer.json()["continuationToken"]
        return answer

    def all(self) -> list[str]:
        """Return the ids of all events from where the last answer ended."""
        found: list[str] = []
        while page := self.get().raise_for_status().json()["events"]:
            found += [event["Id"] for event in page]
        return found
