from __future__ import annotations

import asyncio

import pytest
from tests.edr.conftest import until

from deodar.edr.errors import AlreadyThere, NodeProblem, NotKnown
from deodar.edr.nodes import register as registers
from deodar.edr.nodes.position import Position, Positions
from deodar.edr.nodes.register import MOST, Presence, Register


@pytest.fixture
def register(database) -> Register:
    return Register(database)


def states(register: Register) -> dict[str, str]:
    return {node.name: node.state for node in register.list()}


def test_a_node_is_added_started_and_removed(register):
    assert register.add("two").state == "added"
    register.start("two")
    register.start("one")  # the first one was added by nobody
    assert states(register) == {"one": "running", "two": "running"}
    assert register.note("two", "host:9443") is True
    assert register.find("two").url == "host:9443"
    assert register.remove("two").state == "removed"
    assert register.note("two", "host:9443") is False
    with pytest.raises(NodeProblem, match="was removed"):
        register.start("two")
    assert register.add("two").state == "added"
    register.start("two")


def test_the_one_that_writes_is_told(register, database):
    register.start("one")
    Positions(database).begin(Position(), 0, "one")
    assert states(register) == {"one": "writing"}


def test_one_that_was_not_heard_for_long_is_silent(register, monkeypatch):
    register.start("one")
    later = registers.now_us() + registers.SILENT_US + 1
    monkeypatch.setattr(registers, "now_us", lambda: later)
    assert states(register) == {"one": "silent"}


def test_wrong_names_are_told(register):
    for name in ("", "a b", "-x", "x" * 65, "ä"):
        with pytest.raises(NodeProblem, match="a node's name"):
            register.add(name)
    register.add("one")
    with pytest.raises(AlreadyThere):
        register.add("one")
    with pytest.raises(NotKnown, match="no node 'three'"):
        register.remove("three")


def test_nodes_are_bounded(register):
    for number in range(MOST):
        register.add(f"n{number}")
    with pytest.raises(NodeProblem, match=f"there are {MOST} nodes"):
        register.add("more")


async def test_one_that_is_removed_stops(register, monkeypatch):
    monkeypatch.setattr(registers, "NOTE_EVERY", 0.05)
    stop = asyncio.Event()
    async with Presence(register, "one").noted(stop):
        await asyncio.sleep(0.2)
        assert not stop.is_set()
        register.remove("one")

        async def stopped():
            return stop.is_set()

        await until(stopped)
