from __future__ import annotations

import msgspec
import pytest

from deodar.response import wire


def test_orders_keep_parameters_as_they_are():
    task = wire.TaskOrder("t", "get_file", {"path": "/etc/passwd"}, 3, 9)
    state = wire.StateOrder("prevention", "all", 2, active=True, settings={})
    orders = wire.Orders("server", 3, 5, (state,), (task,))
    read = msgspec.json.decode(msgspec.json.encode(orders), type=wire.Orders)
    assert read.tasks[0].parameters == {"path": "/etc/passwd"}
    assert (read.number, read.states[0].target) == (3, "all")


@pytest.mark.parametrize("identity", ["", "a/b", "a b", "x" * 65])
def test_a_task_with_an_odd_name_is_not_read(identity):
    order = {"id": identity, "kind": "k", "parameters": {}, "number": 1, "expires_us": 1}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(order, wire.TaskOrder)


def test_more_tasks_than_an_answer_may_have_are_not_read():
    order = {"id": "a", "kind": "k", "parameters": {}, "number": 1, "expires_us": 1}
    body = {"server_id": "s", "number": 1, "time_us": 1, "tasks": [order] * (wire.MOST_TASKS + 1)}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=wire.Orders)
