from __future__ import annotations

import pytest
from sqlalchemy import select, update

from deodar.edr.database import now_us
from deodar.edr.errors import AlreadyThere, NotKnown, OrderRefused
from deodar.edr.tables import audit
from deodar.edr.tables_response import tasks as table
from deodar.edr.tasking import tasks as module
from deodar.response.errors import OrderProblem
from deodar.response.wire import Result

from .conftest import AGENT, OTHER, REVOKED

LS = {"command": "ls"}


def audited(database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.number)).all()
    return [(row.action, row.subject, row.user) for row in rows]


def test_a_task_goes_from_the_order_to_the_result(tasking, database):
    made = tasking.tasks.create(AGENT, "run_process", LS, user="ann")
    assert (made.state, made.kind, made.user) == ("pending", "run_process", "ann")
    assert made.parameters["time_limit"] == 300  # with its defaults, as the agent gets it
    tasking.delivery.orders(AGENT, 0)
    assert tasking.tasks.find(made.id).state == "delivered"
    assert tasking.tasks.take_result(AGENT, made.id, Result("running")).state == "running"
    done = tasking.tasks.take_result(AGENT, made.id, Result("done", exit_code=3, output="x\0y"))
    assert (done.state, done.result["exit_code"]) == ("done", 3)
    assert "\0" not in done.result["output"]
    assert done.ended_us >= done.started_us > 0
    assert audited(database) == [
        ("task create", AGENT, "ann"),
        ("task result", AGENT, f"agent {AGENT}"),
    ]


def test_a_result_that_is_repeated_changes_nothing(tasking):
    made = tasking.tasks.create(AGENT, "run_process", LS)
    tasking.tasks.take_result(AGENT, made.id, Result("done", exit_code=1))
    again = tasking.tasks.take_result(AGENT, made.id, Result("done", exit_code=2))
    assert again.result["exit_code"] == 1
    assert tasking.tasks.take_result(AGENT, made.id, Result("running")).state == "done"
    with pytest.raises(AlreadyThere, match="is done already"):
        tasking.tasks.take_result(AGENT, made.id, Result("failed"))


def test_only_its_agent_may_tell_of_a_task(tasking):
    made = tasking.tasks.create(AGENT, "run_process", LS)
    with pytest.raises(NotKnown):
        tasking.tasks.take_result(OTHER, made.id, Result("done"))
    assert tasking.tasks.find(made.id).state == "pending"


def test_what_cannot_be_ordered(tasking, monkeypatch):
    with pytest.raises(OrderProblem):
        tasking.tasks.create(AGENT, "run_process", {})
    with pytest.raises(NotKnown, match="no endpoint 'nobody'"):
        tasking.tasks.create("nobody", "run_process", LS)
    with pytest.raises(OrderRefused, match="is revoked"):
        tasking.tasks.create(REVOKED, "run_process", LS)
    tasking.tasks.create(AGENT, "run_process", LS, task_id="mine")
    with pytest.raises(AlreadyThere, match="a task mine already"):
        tasking.tasks.create(OTHER, "run_process", LS, task_id="mine")
    monkeypatch.setattr(module, "MOST_OPEN", 1)
    with pytest.raises(OrderRefused, match="1 tasks of"):
        tasking.tasks.create(AGENT, "run_process", LS)
    tasking.tasks.create(OTHER, "run_process", LS)


def test_a_task_that_is_removed_is_never_begun(tasking):
    made = tasking.tasks.create(AGENT, "run_process", LS)
    assert tasking.tasks.remove(made.id, "ann").state == "cancelled"
    assert tasking.delivery.orders(AGENT, 0).tasks == ()
    with pytest.raises(NotKnown):
        tasking.tasks.remove(made.id)


def test_a_task_that_was_done_is_still_done_when_it_is_removed(tasking):
    made = tasking.tasks.create(AGENT, "run_process", LS)
    tasking.tasks.take_result(AGENT, made.id, Result("done"))
    assert tasking.tasks.remove(made.id).state == "done"


def test_time_ends_what_was_not_begun_and_what_was_never_heard_of_again(tasking, database):
    late = tasking.tasks.create(AGENT, "run_process", LS, lifetime=-1)
    silent = tasking.tasks.create(AGENT, "run_process", LS)
    fresh = tasking.tasks.create(AGENT, "run_process", LS)
    tasking.tasks.take_result(AGENT, silent.id, Result("running"))
    with database.write() as connection:
        old = update(table).where(table.c.id == silent.id)
        connection.execute(old.values(started_us=now_us() - module.SILENT_US - 1))
    assert [task.id for task in tasking.delivery.orders(AGENT, 0).tasks] == [fresh.id]
    assert tasking.tasks.expire() == 2
    assert tasking.tasks.expire() == 0
    states = {task.id: task.state for task in tasking.tasks.list(AGENT)}
    assert states == {late.id: "expired", silent.id: "failed", fresh.id: "delivered"}
    # A result that comes all the same is better than none.
    assert tasking.tasks.take_result(AGENT, late.id, Result("done")).state == "done"


def test_lists_are_pages_from_the_newest_on(tasking):
    made = [tasking.tasks.create(AGENT, "run_process", LS) for _ in range(5)]
    other = tasking.tasks.create(OTHER, "run_process", LS)
    first = tasking.tasks.list(limit=2)
    assert [task.id for task in first] == [other.id, made[4].id]
    rest = tasking.tasks.list(before=first[-1].number)
    assert [task.id for task in rest] == [task.id for task in reversed(made[:4])]
    assert [task.id for task in tasking.tasks.list(OTHER)] == [other.id]
    assert tasking.tasks.list(states=["done"]) == []


def test_old_tasks_are_forgotten_but_open_ones_are_not(tasking):
    done = tasking.tasks.create(AGENT, "run_process", LS)
    open_ = tasking.tasks.create(AGENT, "run_process", LS)
    tasking.tasks.take_result(AGENT, done.id, Result("done"))
    assert tasking.tasks.forget(now_us() + 1_000_000) == 1
    assert [task.id for task in tasking.tasks.list()] == [open_.id]
