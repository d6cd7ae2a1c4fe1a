"""Endpoints without agents behind them, for tests of how they are managed."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from deodar.edr.database import Database, now_us
from deodar.edr.endpoint import Endpoint
from deodar.edr.enrolment import Endpoints, EnrolmentRequest, Host
from deodar.edr.policies import Policies
from deodar.edr.synchronization import Synchronization
from deodar.edr.tables import endpoints as table
from deodar.tls import certificates
from deodar.tls.certificates import Pair

from .conftest import read_token

AUTHORITY = certificates.make_authority("edr")
REQUEST = certificates.make_request("x")[0].decode()
MINUTE_US = 60 * 1_000_000


class World:
    """A database with endpoints that enrol, synchronize and grow old as a test wants."""

    def __init__(self, database: Database, authority: Pair = AUTHORITY) -> None:
        self.database = database
        self.endpoints = Endpoints(database)
        self.policies = Policies(database)
        self._authority = authority
        self._server = Synchronization(database, self.policies, "server-1")

    def enroll(self, name: str = "web-1", group: str = "default", machine: str = "") -> Endpoint:
        secret = read_token(self.endpoints.invite("u", "p", 60, group=group).token)["secret"]
        asked = EnrolmentRequest(secret, REQUEST, Host(name=name, machine_id=machine))
        made = self.endpoints.enroll(self._authority, asked, "192.0.2.1")
        return self.endpoints.find(made.agent_id)

    def synchronize(self, endpoint: Endpoint, version: int = 0) -> dict[str, Any]:
        """Let an agent with a version of a policy synchronize; returns what it is told."""
        body = msgspec.json.encode({"agent_id": endpoint.agent_id, "policy_version": version})
        present = self.endpoints.find(endpoint.agent_id)
        return json.loads(msgspec.json.encode(self._server.take(present, body, "192.0.2.1")))

    def heard(self, endpoint: Endpoint, minutes_ago: float) -> None:
        then = now_us() - int(minutes_ago * MINUTE_US)
        with self.database.write() as connection:
            own = table.c.agent_id == endpoint.agent_id
            connection.execute(table.update().where(own).values(last_contact_us=then))
