"""What an agent is told when it asks: every change since the number that it knows.

An answer that was lost is given again, because the agent asks with the old number once more; a
number that this server never gave (it was restored from a backup) counts as none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from sqlalchemy import select, union_all, update

from deodar.edr.database import now_us
from deodar.edr.tables_response import desired_states, tasks
from deodar.edr.tasking import numbers
from deodar.edr.tasking.states import ALL
from deodar.edr.tasking.tasks import DELIVERED, PENDING
from deodar.response.wire import LARGEST_ORDERS, MOST_TASKS, Orders, StateOrder, TaskOrder

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database

MOST_CHANGED = 1000


class Changes(NamedTuple):
    """Who has to be told of something: agents' ids, or everybody."""

    number: int
    agents: frozenset[str]
    everybody: bool


class Delivery:
    """Puts the orders for an agent together; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, server_id: str) -> None:
        self._database = database
        self._server_id = server_id

    def orders(self, agent_id: str, since: int) -> Orders:
        """Return what the agent has to learn, and note that its new tasks were delivered."""
        with self._database.read() as connection:
            orders = self._orders(connection, agent_id, since)
        if orders.tasks:
            self._delivered([task.id for task in orders.tasks])
        return orders

    def changes(self, since: int) -> Changes:
        """Return who is concerned by the changes after a number."""
        with self._database.read() as connection:
            number = numbers.current(connection)
            if number <= since:
                return Changes(number, frozenset(), everybody=number < since)
            names = union_all(
                select(tasks.c.agent_id).where(tasks.c.number > since),
                select(desired_states.c.target).where(desired_states.c.number > since),
            ).limit(MOST_CHANGED)
            found = set(connection.execute(names).scalars())
        everybody = ALL in found or len(found) >= MOST_CHANGED or number - since > MOST_CHANGED
        return Changes(number, frozenset(found), everybody)

    def _orders(self, connection: Connection, agent_id: str, since: int) -> Orders:
        number = numbers.current(connection)
        known = since if since <= number else 0
        states = _states(connection, agent_id, known)
        due = _tasks(connection, agent_id, known)
        if due.more:
            number = max(known, due.tasks[-1].number)
        return Orders(self._server_id, number, now_us(), states, due.tasks)

    def _delivered(self, ids: list[str]) -> None:
        new = tasks.c.id.in_(ids) & (tasks.c.state == PENDING)
        with self._database.write() as connection:
            values = {"state": DELIVERED, "delivered_us": now_us()}
            connection.execute(update(tasks).where(new).values(**values))


class _Due(NamedTuple):
    tasks: tuple[TaskOrder, ...]
    more: bool


def _tasks(connection: Connection, agent_id: str, since: int) -> _Due:
    """Return the tasks that are due within the bounds of an answer, and whether there are more."""
    known = tasks.c.number <= since
    due = (
        select(tasks)
        .where(
            tasks.c.agent_id == agent_id,
            tasks.c.removed_us == 0,
            tasks.c.expires_us > now_us(),
            (tasks.c.state == PENDING) | ((tasks.c.state == DELIVERED) & ~known),
        )
        .order_by(tasks.c.number)
        .limit(MOST_TASKS + 1)
    )
    taken: list[TaskOrder] = []
    room = LARGEST_ORDERS // 2
    for row in connection.execute(due).all():
        room -= len(row.parameters)
        if len(taken) == MOST_TASKS or (room < 0 and taken):
            return _Due(tuple(taken), more=True)
        parameters = msgspec.json.decode(row.parameters)
        taken.append(TaskOrder(row.id, row.kind, parameters, row.number, row.expires_us))
    return _Due(tuple(taken), more=False)


def _states(connection: Connection, agent_id: str, since: int) -> tuple[StateOrder, ...]:
    table = desired_states
    query = (
        select(table)
        .where(table.c.target.in_((agent_id, ALL)), table.c.number > since)
        .order_by(table.c.number)
    )
    now = now_us()
    return tuple(
        StateOrder(
            kind=row.kind,
            target=ALL if row.target == ALL else "endpoint",  # type: ignore[arg-type]
            number=row.number,
            active=bool(row.active) and not 0 < row.ends_us <= now,
            settings=None if row.settings is None else msgspec.json.decode(row.settings),
            remaining=max(0.0, (row.ends_us - now) / 1e6) if row.ends_us else None,
        )
        for row in connection.execute(query).all()
    )
