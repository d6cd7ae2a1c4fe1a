from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.enrolment import Endpoints, EnrolmentRequest, Host
from deodar.edr.errors import Ambiguous, NotKnown
from deodar.edr.policies import Policies
from deodar.edr.synchronization import Synchronization
from deodar.tls import certificates

from .conftest import read_token

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT: dict[str, Any] = {
    "host": {"name": "web-1", "ip": "192.0.2.7"},
    "time_us": 1_750_000_000_000_000,
    "version": "0.2.0",
    "policy_version": 3,
    "tasks": [
        {"name": "Behavior_Detection", "state": "Started"},
        {"name": "KATAEDR", "state": "Stopped", "error": "by an\x1b[31m administrator"},
    ],
    "status": {"spool": {"events": 17}},
}


class Fleet:
    """The endpoints of a server that does not run at present."""

    def __init__(self, installation) -> None:
        self.folder = str(installation.directory.path)
        self._authority = installation.authority
        self._database = installation.database()
        self.endpoints = Endpoints(self._database)

    def enroll(self, name: str = "web-1") -> str:
        secret = read_token(self.endpoints.invite("u", "p", 60).token)["secret"]
        request = certificates.make_request("x")[0].decode()
        asked = EnrolmentRequest(secret, request, Host(name=name, os_name="Debian"))
        return self.endpoints.enroll(self._authority, asked, "192.0.2.1").agent_id

    def synchronize(self, agent_id: str) -> None:
        server = Synchronization(self._database, Policies(self._database), "server-1")
        body = json.dumps({"agent_id": agent_id, **REPORT}).encode()
        server.take(self.endpoints.find(agent_id), body, "192.0.2.7")

    def run(self, *words: str) -> str:
        command = ["endpoints", *words, "--dir", self.folder]
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def close(self) -> None:
        self._database.close()


@pytest.fixture
def fleet(installation) -> Iterator[Fleet]:
    with contextlib.closing(Fleet(installation)) as made:
        yield made


def test_endpoints_are_listed_and_can_be_revoked(fleet):
    assert "No agent" in fleet.run("list")
    agent_id = fleet.enroll()
    row = json.loads(fleet.run("list", "--json"))
    assert (row["agent_id"], row["name"], row["state"]) == (agent_id, "web-1", "enrolled")
    assert json.loads(fleet.run("revoke", agent_id, "--json"))["state"] == "revoked"
    assert "revoked" in fleet.run("list")


def test_the_list_tells_of_the_last_synchronization(fleet):
    never, lately = fleet.enroll("web-0"), fleet.enroll("web-1")
    fleet.synchronize(lately)
    first, second = map(json.loads, fleet.run("list", "--json").splitlines())
    assert first["agent_id"] == never
    assert (first["synchronized_us"], first["policy_version"], first["stopped_tasks"]) == (0, 0, "")
    assert second["synchronized_us"] > 1_700_000_000_000_000
    assert (second["policy_version"], second["stopped_tasks"]) == (3, "KATAEDR")
    titles, *rows = fleet.run("list").splitlines()
    for title in ("Agent version", "Synchronized", "Policy", "Stopped tasks"):
        assert title in titles
    policy, stopped = titles.index("Policy"), titles.index("Stopped tasks")
    assert "never" in rows[0]
    assert (rows[0][policy:stopped].strip(), rows[0][stopped:].strip()) == ("0", "")
    assert rows[1][policy:stopped].strip() == "3 (must be 0)"
    assert rows[1][stopped:].strip() == "KATAEDR"
    assert "0.2.0" in rows[1]


@pytest.mark.parametrize("by_name", [True, False])
def test_an_endpoint_is_shown_with_all_that_it_told(fleet, by_name):
    agent_id = fleet.enroll()
    fleet.synchronize(agent_id)
    name = "web-1" if by_name else agent_id
    page = json.loads(fleet.run("show", name, "--json"))
    assert page["endpoint"]["agent_id"] == agent_id
    assert page["report"]["tasks"][1]["name"] == "KATAEDR"
    assert page["report"]["status"] == REPORT["status"]
    assert page["clock_behind_seconds"] > 0
    lines = [" ".join(line.split()) for line in fleet.run("show", name).splitlines()]
    assert f"agent id: {agent_id}" in lines
    assert "address: 192.0.2.7" in lines
    assert "policy version: 3" in lines
    assert "stopped tasks: KATAEDR" in lines
    assert "spool: events=17" in lines
    assert any(line.startswith("- name=KATAEDR, state=Stopped") for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_an_endpoint_that_never_synchronized_is_shown_too(fleet):
    agent_id = fleet.enroll()
    assert "It has not synchronized yet." in fleet.run("show", agent_id)
    page = json.loads(fleet.run("show", agent_id, "--json"))
    assert (page["report"], page["clock_behind_seconds"]) == (None, None)


def test_a_name_that_several_have_is_not_guessed(fleet):
    ids = [fleet.enroll(), fleet.enroll()]
    with pytest.raises(Ambiguous, match="'web-1'") as caught:
        fleet.run("show", "web-1")
    assert all(agent_id in str(caught.value) for agent_id in ids)
    assert ids[1] in fleet.run("show", ids[1])


def test_a_name_that_nobody_has_is_told(fleet):
    fleet.enroll()
    with pytest.raises(NotKnown, match=r"'web-2'.*deodar edr endpoints list"):
        fleet.run("show", "web-2")


def test_endpoints_are_moved_tagged_and_found(fleet):
    one, two = fleet.enroll("web-1"), fleet.enroll("web-2")
    group = ["group", "add", "servers", "--dir", fleet.folder]
    assert CliRunner().invoke(app, group, catch_exceptions=False).exit_code == 0
    assert json.loads(fleet.run("move", "web-1", "servers", "--json"))["group_name"] == "servers"
    tagged = json.loads(fleet.run("tag", two, "--add", "a", "--add", "b", "--json"))
    assert tagged["tags"] == ["a", "b"]
    assert json.loads(fleet.run("tag", two, "--remove", "a", "--json"))["tags"] == ["b"]

    def ids(*words: str) -> list[str]:
        return [
            json.loads(line)["agent_id"]
            for line in fleet.run("list", *words, "--json").splitlines()
        ]

    assert ids("--group", "servers") == [one]
    assert ids("--tag", "b") == [two]
    assert ids("--name", "web-*", "--limit", "1") == [one]
    assert ids("--after", one) == [two]
    assert ids("--state", "never") == [one, two]
    fleet.synchronize(one)
    assert ids("--state", "online") == [one]
    assert ids("--drift") == [one]
    assert "3 (must be 0)" in fleet.run("list")
    assert json.loads(fleet.run("counts", "--json"))["online"] == 1
    assert "online: 1" in fleet.run("counts")


def test_a_revocation_may_tell_why(fleet):
    told = json.loads(fleet.run("revoke", fleet.enroll(), "--reason", "stolen", "--json"))
    assert (told["presence"], told["revoked_reason"]) == ("revoked", "stolen")
