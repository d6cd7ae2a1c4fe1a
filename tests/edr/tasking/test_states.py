from __future__ import annotations

import pytest
from sqlalchemy import update

from deodar.edr.database import now_us
from deodar.edr.errors import NotKnown
from deodar.edr.tables_response import desired_states
from deodar.edr.tasking.states import ALL, is_isolated, settings_of
from deodar.response.errors import OrderProblem
from deodar.response.isolation import ISOLATION, PREVENTION, Isolation
from deodar.response.wire import Applied

from .conftest import AGENT, OTHER

LIST = {"objects": [{"file": {"md5": "a" * 32}}]}


def test_isolation_is_wanted_until_it_is_deleted(tasking):
    states = tasking.states
    assert states.get(AGENT, ISOLATION) is None
    made = states.set(AGENT, ISOLATION, {"autoTurnoffTimeoutInSec": 7200}, "ann")
    assert is_isolated(made)
    assert 7190 < (made.ends_us - now_us()) / 1e6 <= 7200
    assert settings_of(made) == Isolation(auto_turnoff_timeout_in_sec=7200)
    assert states.get(OTHER, ISOLATION) is None
    cleared = states.clear(AGENT, ISOLATION)
    assert cleared.number > made.number
    assert states.get(AGENT, ISOLATION) is None
    assert not is_isolated(cleared)


def test_when_its_time_is_over_it_is_inactive_but_its_settings_stay(tasking, database):
    tasking.states.set(AGENT, ISOLATION, {"autoTurnoffTimeoutInSec": 3600})
    kept = tasking.states.set(OTHER, ISOLATION, {})
    assert tasking.states.end_timers() == 0
    with database.write() as connection:
        mine = desired_states.c.target == AGENT
        connection.execute(update(desired_states).where(mine).values(ends_us=now_us() - 1))
    assert not is_isolated(tasking.states.get(AGENT, ISOLATION))
    assert tasking.states.end_timers() == 1
    ended = tasking.states.get(AGENT, ISOLATION)
    assert not ended.active
    assert ended.settings == {"autoTurnoffTimeoutInSec": 3600}
    assert ended.number > kept.number  # the agent is told
    assert is_isolated(tasking.states.get(OTHER, ISOLATION))


def test_prevention_may_be_for_everybody_and_isolation_not(tasking):
    assert tasking.states.set(ALL, PREVENTION, LIST).target == ALL
    assert tasking.states.set(AGENT, PREVENTION, LIST).settings == LIST
    with pytest.raises(OrderProblem, match="one endpoint at a time"):
        tasking.states.set(ALL, ISOLATION, {})
    with pytest.raises(NotKnown):
        tasking.states.set("nobody", PREVENTION, LIST)
    with pytest.raises(OrderProblem, match="no state is named 'other'"):
        tasking.states.get(AGENT, "other")
    assert [state.target for state in tasking.states.wanted()] == [ALL, AGENT]
    assert [state.target for state in tasking.states.wanted(ALL)] == [ALL]


def test_what_an_endpoint_says_is_kept_the_last_only(tasking):
    for outcome in ("failed", "unsupported"):
        tasking.states.note(AGENT, Applied(ISOLATION, 3, outcome, "not\0 here"))  # type: ignore[arg-type]
    (told,) = tasking.states.applied(AGENT)
    assert (told.outcome, told.number, told.reason) == ("unsupported", 3, "not here")
    assert tasking.states.applied(OTHER) == []
    with pytest.raises(OrderProblem):
        tasking.states.note(AGENT, Applied("other", 3, "failed"))
