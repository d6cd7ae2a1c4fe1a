"""Tasks: one-off orders to an endpoint, from the order to the result.

A task is ``pending`` until an answer with it went to its agent (``delivered``), ``running`` once
the agent says so, and in the end ``done`` or ``failed``; ``expired`` when it was not begun in its
time, ``cancelled`` when somebody withdrew it before that. A result that comes all the same is
taken.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from deodar.edr.database import now_us, record
from deodar.edr.errors import AlreadyThere, NotKnown, OrderRefused
from deodar.edr.tables import endpoints
from deodar.edr.tables_response import tasks as table
from deodar.edr.tasking import numbers
from deodar.kit.acting import actor
from deodar.response import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database
    from deodar.response.wire import Result

PENDING, DELIVERED, RUNNING = "pending", "delivered", "running"
DONE, FAILED, EXPIRED, CANCELLED = "done", "failed", "expired", "cancelled"
STATES = (PENDING, DELIVERED, RUNNING, DONE, FAILED, EXPIRED, CANCELLED)
OPEN = (PENDING, DELIVERED, RUNNING)
FINAL = (DONE, FAILED)
LIFETIME = 7 * 86_400.0
"""Seconds in which a task has to be begun, if nothing else is said."""
LONGEST_LIFETIME = 90 * 86_400.0
MOST_OPEN = 1000
"""Tasks of one endpoint that have no result yet."""
SILENT_US = 24 * 3600 * 1_000_000
"""How long a running task may say nothing: its agent's host is gone for good."""
_STORY = 300


class Task(msgspec.Struct, frozen=True):
    """One task. Times are µs, 0 for never."""

    id: str
    number: int
    agent_id: str
    kind: str
    parameters: dict[str, Any]
    state: str
    user: str
    created_us: int
    expires_us: int
    delivered_us: int
    started_us: int
    ended_us: int
    removed_us: int
    reason: str
    result: dict[str, Any] | None


class Tasks:
    """The tasks of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        agent_id: str,
        kind: str,
        parameters: Any,
        *,
        user: str = "",
        task_id: str = "",
        lifetime: float = LIFETIME,
    ) -> Task:
        """Order a task; returns it.

        Raises OrderProblem for wrong parameters, NotKnown for an endpoint that is not there,
        AlreadyThere for an id that was used, OrderRefused when too many are open.
        """
        checked = kinds.check(kind, parameters)
        now = now_us()
        row: dict[str, Any] = {
            "id": task_id or str(uuid.uuid4()),
            "agent_id": agent_id,
            "kind": kind,
            "parameters": msgspec.json.encode(checked).decode(),
            "state": PENDING,
            "user": user or actor().name,
            "created_us": now,
            "expires_us": now + int(min(lifetime, LONGEST_LIFETIME) * 1_000_000),
        }
        with self._database.write() as connection:
            _check_endpoint(connection, agent_id)
            _check_room(connection, agent_id)
            try:
                with connection.begin_nested():
                    number = numbers.take(connection)
                    connection.execute(insert(table).values(**row, number=number))
            except IntegrityError as error:
                raise AlreadyThere(f"there is a task {row['id']} already") from error
            story = f"{row['id']}: {kind} {row['parameters'][:_STORY]}"
            record(connection, "task create", agent_id, story, user=row["user"])
            return _one(connection, row["id"])

    def find(self, task_id: str) -> Task:
        """Return a task; raises NotKnown."""
        with self._database.read() as connection:
            return _one(connection, task_id)

    def list(
        self,
        agent_id: str = "",
        states: Sequence[str] = (),
        *,
        before: int = 0,
        limit: int = 100,
    ) -> list[Task]:
        """Return tasks, the newest first; `before` is the number of the last one of a page."""
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if agent_id:
            query = query.where(table.c.agent_id == agent_id)
        if states:
            query = query.where(table.c.state.in_(states))
        if before:
            query = query.where(table.c.number < before)
        with self._database.read() as connection:
            return [_task(row) for row in connection.execute(query).all()]

    def remove(self, task_id: str, user: str = "") -> Task:
        """Withdraw a task, and show it to external systems no more; returns it. Raises NotKnown.

        What an agent has begun already it ends.
        """
        with self._database.write() as connection:
            found = _one(connection, task_id)
            if found.removed_us:
                raise NotKnown(_unknown(task_id))
            values: dict[str, Any] = {"removed_us": now_us()}
            if found.state in (PENDING, DELIVERED):
                values |= {"state": CANCELLED, "ended_us": values["removed_us"]}
            connection.execute(update(table).where(table.c.id == task_id).values(**values))
            story = f"{task_id}: {found.kind}, was {found.state}"
            record(connection, "task remove", found.agent_id, story, user=user)
            return _one(connection, task_id)

    def take_result(self, agent_id: str, task_id: str, result: Result) -> Task:
        """Keep what an agent says of its task; repeated, it changes nothing.

        Returns the task. Raises NotKnown for a task that is not this agent's, AlreadyThere when
        another result is there.
        """
        with self._database.write() as connection:
            found = _one(connection, task_id)
            if found.agent_id != agent_id:
                raise NotKnown(_unknown(task_id))
            if found.state in FINAL:
                if result.state in (found.state, RUNNING):
                    return found
                raise AlreadyThere(f"the task {task_id} is {found.state} already")
            values = _result_values(result)
            connection.execute(update(table).where(table.c.id == task_id).values(**values))
            if result.state in FINAL:
                story = f"{task_id}: {found.kind} {result.state} {result.reason}"[:_STORY]
                record(connection, "task result", agent_id, story, user=f"agent {agent_id}")
            return _one(connection, task_id)

    def expire(self) -> int:
        """End the tasks whose time is over; returns how many."""
        now = now_us()
        late = table.c.state.in_((PENDING, DELIVERED)) & (table.c.expires_us < now)
        silent = (table.c.state == RUNNING) & (table.c.started_us < now - SILENT_US)
        with self._database.read() as connection:
            if connection.execute(select(table.c.id).where(late | silent).limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            expired = (
                update(table)
                .where(late)
                .values(state=EXPIRED, ended_us=now, reason="it was not begun in its time")
            )
            lost = (
                update(table)
                .where(silent)
                .values(state=FAILED, ended_us=now, reason="its agent sent no result within a day")
            )
            return connection.execute(expired).rowcount + connection.execute(lost).rowcount

    def forget(self, before_us: int) -> int:
        """Delete the tasks that ended before a moment; returns how many."""
        old = table.c.state.not_in(OPEN) & (table.c.ended_us < before_us)
        with self._database.write() as connection:
            return connection.execute(delete(table).where(old)).rowcount


def _check_endpoint(connection: Connection, agent_id: str) -> None:
    found = select(endpoints.c.state).where(endpoints.c.agent_id == agent_id)
    state = connection.execute(found).scalar()
    if state is None:
        raise NotKnown(f"no endpoint '{agent_id}'; see: deodar edr endpoints list")
    if state != "enrolled":
        raise OrderRefused(f"the endpoint {agent_id} is {state}: it can be told nothing")


def _check_room(connection: Connection, agent_id: str) -> None:
    waiting = (table.c.agent_id == agent_id) & table.c.state.in_(OPEN)
    count = connection.execute(select(func.count()).where(waiting)).scalar_one()
    if count >= MOST_OPEN:
        raise OrderRefused(f"{count} tasks of {agent_id} have no result yet; remove some first")


def _result_values(result: Result) -> dict[str, Any]:
    now = now_us()
    values: dict[str, Any] = {"state": result.state, "reason": _plain(result.reason)}
    values["started_us"] = result.started_us or now
    if result.state in FINAL:
        values["ended_us"] = result.ended_us or now
        values["result"] = _plain(msgspec.json.encode(result).decode())
    return values


def _plain(text: str) -> str:
    """Return a text as databases take it: PostgreSQL knows no NUL."""
    return text.replace("\0", "").replace("\\u0000", "\N{REPLACEMENT CHARACTER}")


def _one(connection: Connection, task_id: str) -> Task:
    row = connection.execute(select(table).where(table.c.id == task_id)).first()
    if row is None:
        raise NotKnown(_unknown(task_id))
    return _task(row)


def _unknown(task_id: str) -> str:
    return f"no task '{task_id[:64]}'; see: deodar edr task list"


def _task(row: Row[Any]) -> Task:
    values = dict(row._mapping)  # SQLAlchemy's public name for it
    values["parameters"] = msgspec.json.decode(values["parameters"])
    values["result"] = msgspec.json.decode(values["result"]) if values["result"] else None
    return Task(**values)
