"""Distributed mode: each server delivers its own events, each to a collector of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from tests.e2e.edr_process import EdrProcess
from tests.e2e.several_nodes import accept_pending

from deodar.demo.stack import DEODAR, attempts, deodar
from deodar.kit.children import Child

if TYPE_CHECKING:
    from tests.e2e.edr_process import Agent

    from deodar.demo.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def server(stack: Stack, name: str) -> EdrProcess:
    """Start a server; it ends with the stack."""
    logs = stack.folder / f"{name}-logs"
    logs.mkdir()
    made = EdrProcess(stack.folder / name, logs)
    stack.children[f"server {name}"] = made.child
    return made.start()


def deliver(agent: Agent, number: int) -> None:
    """Send a packet until it is acknowledged, as an agent does."""
    for _ in attempts(90):
        try:
            if agent.send(number).status_code == 200:
                return
        except httpx.HTTPError:
            agent.reconnect()
    pytest.fail("the packet was never taken")


def test_two_servers_one_siem(stack: Stack):
    """Each delivers its own events, to a collector of its own."""
    servers = [server(stack, name) for name in ("edr", "branch")]
    stack.start_core(servers[0].url)
    trust = ("--edr-ca", servers[1].folder / "authority.pem", "--fetch-timeout", "0.25")
    words = ("branch", "--edr", servers[1].url, *trust, "--dir", stack.siem)
    deodar("siem", "collector", "add", *words)
    for name in ("kedr", "branch"):
        command = [*DEODAR, "siem", "collector", "run", name, "--dir", str(stack.siem)]
        stack.children[name] = Child(name, command, stack.folder).start()
    sent = []
    for one in servers:
        accept_pending(one.folder)
        agent = one.agent()
        for number in (1, 2):
            deliver(agent, agent.packet(number))
            sent += agent.ids[number]
        agent.client.close()

    found: list[str] = []
    for _ in attempts(60, pause=0.3):
        found = [row["id"] for row in stack.search("SELECT ExternalID AS id FROM events")]
        if len(found) >= len(sent):
            break
    assert sorted(found) == sorted(sent)
