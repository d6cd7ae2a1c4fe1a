from __future__ import annotations

import threading

import msgspec
import pytest
from sqlalchemy import select

from deodar.edr.errors import PolicyProblem
from deodar.edr.groups import Groups
from deodar.edr.policies import KEPT, InForce, Policies
from deodar.edr.tables import audit, policy_versions
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.policy import from_wire

FIRST = {"KATAEDR": {"SynchronizationPeriod": 7}}
SECOND = {
    "KATAEDR": {
        "Endpoints": [{"Address": "192.0.2.1", "Port": 443}],
        "EventTransferSettings": {"MaximumDataTransferTime": 5.5},
    },
    "Application": {"UseProxy": True, "ProxyServer": "u:hidden@192.0.2.3:3128"},
}


@pytest.fixture
def policies(database) -> Policies:
    return Policies(database)


def told(policies: Policies, database, version: int) -> InForce:
    with database.write() as connection:
        return policies.for_agent(connection, version)


def test_each_change_is_a_new_version_and_the_same_again_is_none(policies):
    assert policies.current() is None
    assert policies.set(FIRST).version == 1
    assert policies.set(SECOND).version == 2
    assert policies.set(SECOND).version == 2
    current = policies.current()
    assert current is not None
    assert (current.version, current.settings) == (2, SECOND)
    assert current.user.startswith("uid ")
    assert [one.version for one in policies.history()] == [2, 1]
    assert policies.at(1).settings == FIRST


def test_versions_rise_over_a_cleared_policy(policies, database):
    policies.set(FIRST)
    cleared = policies.clear()
    assert (cleared.version, cleared.settings) == (2, None)
    assert policies.current() is None
    assert told(policies, database, 1) == InForce(0, None)
    assert told(policies, database, 0) == InForce(0, None)
    assert policies.set(FIRST).version == 3  # the same settings, but an agent may have missed that
    assert told(policies, database, 1).version == 3
    assert [one.settings for one in policies.history()] == [FIRST, None, FIRST]


def test_an_agent_gets_the_policy_only_when_it_has_another_version(policies, database):
    assert told(policies, database, 0) == InForce(0, None)
    assert told(policies, database, 9) == InForce(0, None)
    policies.set(SECOND)
    for version in (0, 2, 99):
        answer = told(policies, database, version)
        assert answer.version == 1
        assert answer.policy is not None
        got = from_wire(msgspec.json.decode(answer.policy))  # as an agent reads it
        assert (got.version, got.name, got.settings) == (1, "default", SECOND)
    assert told(policies, database, 1) == InForce(1, None)


def test_another_process_change_is_seen_at_once(policies, database):
    policies.set(FIRST)
    told(policies, database, 0)
    Policies(database).set(SECOND)  # as a command does
    assert told(policies, database, 1).version == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"KATAEDR": {"SynchronizationPeriod": 99}}, "KATAEDR.SynchronizationPeriod"),
        ({"KATAEDR": {"Port": "x"}}, "Port"),
        ({"KATAEDR": {"NoSuch": 1}}, "NoSuch"),
        ({"No_Such_Task": {}}, "No_Such_Task"),
        ({"Application": {"ProxyServer": "u:***@192.0.2.1:3128"}}, "password"),
    ],
)
def test_what_agents_would_refuse_is_refused_here(policies, settings, words):
    with pytest.raises(InvalidSetting, match=words):
        policies.set(settings)
    assert policies.history() == []


@pytest.mark.parametrize("settings", [{}, {"KATAEDR": {}}])
def test_a_policy_that_says_nothing_is_refused(policies, settings):
    with pytest.raises(PolicyProblem, match="policy clear"):
        policies.set(settings)


def test_what_is_not_there_cannot_be_cleared_or_shown(policies):
    with pytest.raises(PolicyProblem):
        policies.clear()
    with pytest.raises(PolicyProblem, match="history"):
        policies.at(1)
    policies.set(FIRST)
    policies.clear()
    with pytest.raises(PolicyProblem):
        policies.clear()


def test_changes_are_audited_by_the_settings_names_without_their_values(policies, database):
    policies.set(SECOND)
    policies.clear()
    with database.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.number)).all()
    assert [(row.action, row.subject) for row in rows] == [
        ("policy set", "default"),
        ("policy clear", "default"),
    ]
    assert "KATAEDR.Endpoints" in rows[0].details
    assert "Application.ProxyServer" in rows[0].details
    assert "hidden" not in rows[0].details
    assert rows[1].details == "version 2"


def test_a_bounded_number_of_versions_is_kept(policies, database):
    for n in range(KEPT + 5):
        policies.set({"KATAEDR": {"RequestTimeout": n + 1}})
    history = policies.history()
    assert (len(history), history[0].version, history[-1].version) == (KEPT, KEPT + 5, 6)
    with database.read() as connection:
        assert len(connection.execute(select(policy_versions.c.version)).all()) == KEPT


def test_changes_at_once_get_a_version_each(policies, database):
    def work(number: int) -> None:
        Policies(database).set({"KATAEDR": {"RequestTimeout": number}})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.version for one in policies.history()] == list(range(8, 0, -1))


def test_a_groups_policy_lies_over_the_default_one(policies, database):
    Groups(database).add("servers")
    policies.set({**FIRST, "Application": {"UseProxy": False}})
    own = policies.set({"KATAEDR": {"RequestTimeout": 9}}, "servers")
    with database.write() as connection:
        answer = policies.for_agent(connection, 1, "servers")
        other = policies.for_agent(connection, 0, "nosuch")
    assert answer.version == own.version == 2
    assert answer.policy is not None
    got = from_wire(msgspec.json.decode(answer.policy))
    assert (got.version, got.name) == (2, "servers")
    assert got.settings == {
        "KATAEDR": {"SynchronizationPeriod": 7, "RequestTimeout": 9},
        "Application": {"UseProxy": False},
    }
    assert other.version == 1


def test_a_change_below_is_a_new_version_for_those_above(policies, database):
    Groups(database).add("servers")
    Groups(database).add("desks")
    policies.set(FIRST)
    policies.set({"KATAEDR": {"RequestTimeout": 9}}, "servers")
    assert policies.set(SECOND).version == 3
    assert [one.version for one in policies.history("servers")] == [4, 2]
    effective = policies.effective("servers")
    assert effective is not None
    assert effective.settings["KATAEDR"] == {**SECOND["KATAEDR"], "RequestTimeout": 9}
    desks = policies.effective("desks")
    assert desks is not None
    assert (desks.name, desks.version, desks.settings) == ("default", 3, SECOND)
    policies.clear()
    assert policies.effective("desks") is None
    alone = policies.effective("servers")
    assert alone is not None
    assert (alone.version, alone.settings) == (6, {"KATAEDR": {"RequestTimeout": 9}})


def test_no_number_is_given_twice_whichever_policy_it_is_for(policies, database):
    Groups(database).add("servers")
    given = []
    for n in range(1, 4):
        given.append(policies.set({"KATAEDR": {"RequestTimeout": n}}, "servers").version)
        given.append(policies.set({"KATAEDR": {"ConnectionTimeout": n}}).version)
        given.append(policies.clear("servers").version)
    assert given == sorted(set(given))
    with pytest.raises(PolicyProblem):
        policies.clear("servers")
