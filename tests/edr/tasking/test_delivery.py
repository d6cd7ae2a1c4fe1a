from __future__ import annotations

from deodar.edr.tasking import delivery as module
from deodar.response.isolation import ISOLATION, PREVENTION
from deodar.response.wire import MOST_TASKS, Result

from .conftest import AGENT, OTHER

LS = {"command": "ls"}


def test_an_agent_learns_of_its_own_changes_only(tasking):
    task = tasking.tasks.create(AGENT, "run_process", LS)
    tasking.states.set(AGENT, ISOLATION, {})
    tasking.states.set("all", PREVENTION, {"objects": []})
    mine, others = tasking.delivery.orders(AGENT, 0), tasking.delivery.orders(OTHER, 0)
    assert [order.id for order in mine.tasks] == [task.id]
    assert [(s.kind, s.target, s.active) for s in mine.states] == [
        (ISOLATION, "endpoint", True),
        (PREVENTION, "all", True),
    ]
    assert others.tasks == ()
    assert [state.kind for state in others.states] == [PREVENTION]
    assert mine.number == others.number == 3
    assert mine.server_id == "server-1"


def test_what_is_known_is_not_told_again_but_a_lost_answer_is(tasking):
    tasking.tasks.create(AGENT, "run_process", LS)
    tasking.states.set(AGENT, ISOLATION, {})
    first = tasking.delivery.orders(AGENT, 0)
    again = tasking.delivery.orders(AGENT, 0)
    assert (again.tasks, [s.number for s in again.states]) == (first.tasks, [2])
    after = tasking.delivery.orders(AGENT, first.number)
    assert (after.tasks, after.states) == ((), ())


def test_a_state_that_was_deleted_is_told_as_inactive(tasking):
    known = tasking.states.set(AGENT, ISOLATION, {"autoTurnoffTimeoutInSec": 3600}).number
    assert tasking.delivery.orders(AGENT, 0).states[0].remaining > 3590
    tasking.states.clear(AGENT, ISOLATION)
    (state,) = tasking.delivery.orders(AGENT, known).states
    assert (state.active, state.settings, state.remaining) == (False, None, None)


def test_a_number_that_this_server_never_gave_counts_as_none(tasking):
    tasking.states.set(AGENT, ISOLATION, {})
    assert len(tasking.delivery.orders(AGENT, 999).states) == 1


def test_a_task_with_a_result_is_not_told_again(tasking):
    made = tasking.tasks.create(AGENT, "run_process", LS)
    tasking.tasks.take_result(AGENT, made.id, Result("running"))
    assert tasking.delivery.orders(AGENT, 0).tasks == ()


def test_more_tasks_than_fit_come_in_several_answers(tasking, monkeypatch):
    made = [tasking.tasks.create(AGENT, "run_process", LS).id for _ in range(MOST_TASKS + 5)]
    got: list[str] = []
    number = 0
    for _ in range(3):
        orders = tasking.delivery.orders(AGENT, number)
        number = orders.number
        got += [order.id for order in orders.tasks]
    assert got == made
    monkeypatch.setattr(module, "LARGEST_ORDERS", 100)
    large = {"command": "ls", "arguments": "x" * 200}
    for _ in range(3):
        tasking.tasks.create(OTHER, "run_process", large)
    assert len(tasking.delivery.orders(OTHER, 0).tasks) == 1


def test_changes_name_who_is_concerned(tasking):
    changes = tasking.delivery.changes
    assert changes(0) == (0, frozenset(), False)
    tasking.tasks.create(AGENT, "run_process", LS)
    tasking.states.set(OTHER, ISOLATION, {})
    assert changes(0) == (2, frozenset({AGENT, OTHER}), False)
    assert changes(1) == (2, frozenset({OTHER}), False)
    assert changes(2) == (2, frozenset(), False)
    assert changes(9).everybody  # the database was restored from a backup
    tasking.states.set("all", PREVENTION, {"objects": []})
    assert changes(2).everybody
