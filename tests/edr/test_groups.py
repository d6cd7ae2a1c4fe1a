from __future__ import annotations

import pytest

from deodar.edr import groups as module
from deodar.edr.errors import GroupProblem, NotKnown
from deodar.edr.fleet import Fleet
from deodar.edr.groups import Groups

from .fleet_world import World


@pytest.fixture
def groups(database) -> Groups:
    return Groups(database)


def test_the_default_group_is_always_there(groups):
    assert [(one.name, one.endpoints, one.policy_version) for one in groups.list()] == [
        ("default", 0, 0)
    ]
    with pytest.raises(GroupProblem, match="cannot be removed"):
        groups.remove("default")


def test_groups_tell_their_endpoints_and_the_policy_that_they_follow(groups, database):
    world = World(database)
    groups.add("servers", "those in the cellar")
    world.enroll("a", "servers")
    world.enroll("b")
    world.policies.set({"KATAEDR": {"RequestTimeout": 5}})
    assert [(g.name, g.endpoints, g.policy_version) for g in groups.list()] == [
        ("default", 1, 1),
        ("servers", 1, 1),
    ]
    world.policies.set({"KATAEDR": {"RequestTimeout": 7}}, "servers")
    assert groups.get("servers").policy_version == 2
    assert groups.get("servers").note == "those in the cellar"


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 65, "ä", "a/b"])
def test_odd_names_are_refused(groups, name):
    with pytest.raises(GroupProblem, match="small letters"):
        groups.add(name)


def test_a_group_is_made_once_and_their_number_is_bounded(groups, monkeypatch):
    groups.add("one")
    with pytest.raises(GroupProblem, match="already"):
        groups.add("one")
    monkeypatch.setattr(module, "MOST", 2)
    with pytest.raises(GroupProblem, match="the most"):
        groups.add("two")


def test_only_a_group_without_endpoints_is_removed_and_its_policy_with_it(groups, database):
    world = World(database)
    groups.add("servers")
    endpoint = world.enroll("a", "servers")
    world.policies.set({"KATAEDR": {"RequestTimeout": 7}}, "servers")
    with pytest.raises(GroupProblem, match="has 1 endpoints"):
        groups.remove("servers")
    Fleet(database).move(endpoint.agent_id, "default")
    groups.remove("servers")
    with pytest.raises(NotKnown, match="group list"):
        groups.get("servers")
    with pytest.raises(NotKnown):
        groups.remove("servers")
    groups.add("servers")
    assert world.policies.current("servers") is None
    assert world.policies.set({"KATAEDR": {"RequestTimeout": 7}}, "servers").version == 3


def test_an_unknown_group_gets_neither_endpoints_nor_a_policy(database):
    world = World(database)
    endpoint = world.enroll()
    for act in (
        lambda: world.enroll("b", "nosuch"),
        lambda: world.policies.set({"KATAEDR": {"RequestTimeout": 7}}, "nosuch"),
        lambda: Fleet(database).move(endpoint.agent_id, "nosuch"),
    ):
        with pytest.raises(NotKnown, match="no group 'nosuch'"):
            act()
