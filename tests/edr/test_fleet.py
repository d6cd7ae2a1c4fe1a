from __future__ import annotations

import pytest
from sqlalchemy import select

from deodar.edr.errors import FleetProblem, NotKnown
from deodar.edr.fleet import MOST_TAGS, Fleet, Presence, Query
from deodar.edr.groups import Groups
from deodar.edr.tables import audit

from .fleet_world import World


@pytest.fixture
def world(database) -> World:
    Groups(database).add("servers")
    return World(database)


@pytest.fixture
def fleet(database) -> Fleet:
    return Fleet(database, offline_periods=3)


def names(fleet: Fleet, **query: object) -> list[str]:
    return [one.name for one in fleet.select(Query(**query))]


def test_how_endpoints_stand(world, fleet):
    for name, minutes in (("now", 0), ("late", 14), ("gone", 16)):
        world.heard(world.enroll(name), minutes)
    world.enroll("never")
    world.endpoints.revoke(world.enroll("out").agent_id)
    assert {one.name: one.presence.value for one in fleet.select(Query())} == {
        "now": "online",
        "late": "online",  # three periods of five minutes are not over
        "gone": "offline",
        "never": "never",
        "out": "revoked",
    }
    for presence in Presence:
        found = fleet.select(Query(presence=presence))
        assert found
        assert {one.presence for one in found} == {presence}
    assert fleet.counts() == {"online": 2, "offline": 1, "never": 1, "revoked": 1}


def test_the_period_is_what_the_groups_policy_says(world, fleet):
    here, there = world.enroll("here"), world.enroll("there", "servers")
    for one in (here, there):
        world.heard(one, 20)
    world.policies.set({"KATAEDR": {"SynchronizationPeriod": 10}}, "servers")
    assert names(fleet, presence=Presence.ONLINE) == ["there"]
    assert names(fleet, presence=Presence.OFFLINE) == ["here"]
    assert fleet.get(there.agent_id).presence is Presence.ONLINE
    world.policies.set({"KATAEDR": {"SynchronizationPeriod": 7}})
    assert names(fleet, presence=Presence.ONLINE) == ["here", "there"]
    assert fleet.counts()["online"] == 2


def test_endpoints_are_found_by_group_tag_and_name(world, fleet):
    world.enroll("web-1")
    two, three = world.enroll("web_2", "servers"), world.enroll("DB%3", "servers")
    fleet.tag(two.agent_id, ["dmz", "web"])
    fleet.tag(three.agent_id, ["d_z"])
    assert names(fleet, group="servers") == ["web_2", "DB%3"]
    assert names(fleet, tag="dmz") == ["web_2"]
    assert names(fleet, tag="d_z") == ["DB%3"]
    assert names(fleet, tag="dm") == []
    assert names(fleet, name="WEB*") == ["web-1", "web_2"]
    assert names(fleet, name="web_*") == ["web_2"]
    assert names(fleet, name="db%3") == ["DB%3"]
    assert names(fleet, name="d*%*") == ["DB%3"]
    assert names(fleet, name="192.0.2.*", group="servers", tag="web") == ["web_2"]
    assert names(fleet, name=two.agent_id) == ["web_2"]


def test_a_list_is_read_in_parts(world, fleet):
    every = [world.enroll(f"{n}") for n in range(5)]
    first = fleet.select(Query(), 2)
    second = fleet.select(Query(), 10, (first[-1].enrolled_us, first[-1].agent_id))
    assert [one.agent_id for one in first + second] == [one.agent_id for one in every]


def test_an_endpoint_drifts_while_it_follows_another_policy_than_it_must(world, fleet):
    one, silent = world.enroll("one"), world.enroll("silent")
    made = world.policies.set({"KATAEDR": {"RequestTimeout": 5}})
    assert names(fleet, drifts=True) == []  # neither has told what it follows
    assert world.synchronize(one)["policy_version"] == made.version
    assert names(fleet, drifts=True) == ["one"]
    assert names(fleet, drifts=False) == ["silent"]
    shown = fleet.get(one.agent_id)
    assert (shown.policy_version, shown.wanted_policy, shown.drifts) == (0, 1, True)
    world.synchronize(one, made.version)
    assert names(fleet, drifts=True) == []
    own = world.policies.set({"KATAEDR": {"RequestTimeout": 9}}, "servers")
    fleet.move(one.agent_id, "servers")
    assert fleet.get(one.agent_id).wanted_policy == own.version
    assert names(fleet, drifts=True) == ["one"]
    told = world.synchronize(one, made.version)
    assert told["policy"]["settings"] == {"KATAEDR": {"RequestTimeout": 9}}
    world.synchronize(one, own.version)
    assert names(fleet, drifts=True) == []
    fleet.move(one.agent_id, "default")
    assert world.synchronize(one, own.version)["policy_version"] == made.version
    assert fleet.get(silent.agent_id).drifts is False


def test_tags_are_given_and_taken_and_audited(world, fleet, database):
    agent_id = world.enroll().agent_id
    assert fleet.tag(agent_id, ["b", "a", "b"]).tags == ("b", "a")
    assert fleet.tag(agent_id, ["c"], ["b", "nosuch"]).tags == ("a", "c")
    fleet.move(agent_id, "servers")
    with database.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.number)).all()
    told = [(row.action, row.subject, row.before, row.after) for row in rows][-3:]
    assert told == [
        ("endpoint tag", agent_id, "", "b, a"),
        ("endpoint tag", agent_id, "b, a", "a, c"),
        ("endpoint move", agent_id, "default", "servers"),
    ]


@pytest.mark.parametrize("tag", ["", "a b", "a,b", "-x", "x" * 64, "ü"])
def test_odd_tags_are_refused(world, fleet, tag):
    agent_id = world.enroll().agent_id
    with pytest.raises(FleetProblem, match="is no tag"):
        fleet.tag(agent_id, [tag])
    assert fleet.get(agent_id).tags == ()


def test_tags_are_bounded_and_unknown_endpoints_told(world, fleet):
    agent_id = world.enroll().agent_id
    most = [f"{'x' * 60}{n:02}" for n in range(MOST_TAGS)]
    assert len(fleet.tag(agent_id, most).tags) == MOST_TAGS
    with pytest.raises(FleetProblem, match="at most"):
        fleet.tag(agent_id, ["more"])
    for act in (fleet.get, fleet.tag, lambda name: fleet.move(name, "servers")):
        with pytest.raises(NotKnown, match="endpoints list"):
            act("nosuch")
