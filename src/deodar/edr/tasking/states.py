"""Desired states: how an endpoint shall be until somebody says otherwise.

Of each kind there is one for an endpoint, and for prevention also one for ``all``. A state with a
timer becomes inactive when the time is over, but its settings stay until they are deleted, as KATA
has it. What became of a state on each endpoint is kept beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deodar.edr.database import now_us, record
from deodar.edr.errors import NotKnown
from deodar.edr.tables import endpoints
from deodar.edr.tables_response import applied_states, desired_states
from deodar.edr.tasking import numbers
from deodar.kit.acting import actor
from deodar.response import isolation
from deodar.response.errors import OrderProblem
from deodar.response.isolation import ISOLATION, KINDS, PREVENTION, Isolation, Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database
    from deodar.response.wire import Applied

ALL = "all"
_STORY = 300


class DesiredState(msgspec.Struct, frozen=True):
    """One state; `settings` is None after a deletion, `ends_us` 0 without a timer."""

    target: str
    kind: str
    number: int
    settings: dict[str, Any] | None
    active: bool
    user: str
    made_us: int
    ends_us: int


class AppliedState(msgspec.Struct, frozen=True):
    """What an endpoint said of a state; `number` is that of the state that it means."""

    agent_id: str
    kind: str
    target: str
    number: int
    outcome: str
    reason: str
    told_us: int


class States:
    """The desired states of one server's endpoints; synchronous, for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, target: str, kind: str, settings: Any, user: str = "") -> DesiredState:
        """Want a state from now on, in place of the one before; returns it.

        `settings` are JSON's values. Raises OrderProblem, NotKnown.
        """
        checked = isolation.check(kind, settings)
        text = msgspec.json.encode(checked).decode()
        seconds = checked.auto_turnoff_timeout_in_sec if isinstance(checked, Isolation) else None
        ends = now_us() + seconds * 1_000_000 if seconds else 0
        return self._put(target, kind, text, ends, user or actor().name)

    def clear(self, target: str, kind: str, user: str = "") -> DesiredState:
        """Want nothing of a kind any more; returns the state. Raises NotKnown."""
        return self._put(target, kind, None, 0, user or actor().name)

    def get(self, target: str, kind: str) -> DesiredState | None:
        """Return what is wanted, None if nothing is. Raises NotKnown, OrderProblem."""
        with self._database.read() as connection:
            _check(connection, target, kind)
            found = _find(connection, target, kind)
        return None if found is None or found.settings is None else found

    def wanted(self, target: str = "") -> list[DesiredState]:
        """Return everything that is wanted, of one target or of all."""
        table = desired_states
        query = select(table).where(table.c.settings.is_not(None)).order_by(table.c.number)
        if target:
            query = query.where(table.c.target == target)
        with self._database.read() as connection:
            return [state_of(row) for row in connection.execute(query).all()]

    def applied(self, agent_id: str) -> list[AppliedState]:
        """Return what an endpoint said of the states that it was told."""
        query = select(applied_states).where(applied_states.c.agent_id == agent_id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [AppliedState(**row._mapping) for row in rows]

    def note(self, agent_id: str, told: Applied) -> None:
        """Keep what an endpoint says of a state."""
        table = applied_states
        key = {"agent_id": agent_id, "kind": told.kind, "target": told.target}
        row = {
            "number": told.number,
            "outcome": told.outcome,
            "reason": told.reason.replace("\0", ""),
            "told_us": now_us(),
        }
        if told.kind not in KINDS:
            raise OrderProblem(f"no state is named '{told.kind}'; there are: {', '.join(KINDS)}")
        with self._database.write() as connection:
            same = [table.c[name] == value for name, value in key.items()]
            connection.execute(delete(table).where(*same))
            connection.execute(insert(table).values(**key, **row))

    def end_timers(self) -> int:
        """Make states inactive whose time is over, so that agents are told; returns how many."""
        table = desired_states
        over = (table.c.active == 1) & (table.c.ends_us > 0) & (table.c.ends_us <= now_us())
        with self._database.read() as connection:
            if connection.execute(select(table.c.target).where(over).limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            ended = connection.execute(select(table).where(over)).all()
            for row in ended:
                number = numbers.take(connection)
                key = (table.c.target == row.target) & (table.c.kind == row.kind)
                connection.execute(update(table).where(key).values(active=0, number=number))
                record(connection, f"{row.kind} end", row.target, "its time is over", user="timer")
            return len(ended)

    def _put(
        self, target: str, kind: str, text: str | None, ends_us: int, user: str
    ) -> DesiredState:
        table = desired_states
        with self._database.write() as connection:
            _check(connection, target, kind)
            row = {
                "number": numbers.take(connection),
                "settings": text,
                "active": int(text is not None),
                "user": user,
                "made_us": now_us(),
                "ends_us": ends_us,
            }
            key = (table.c.target == target) & (table.c.kind == kind)
            if not connection.execute(update(table).where(key).values(**row)).rowcount:
                connection.execute(insert(table).values(target=target, kind=kind, **row))
            action = f"{kind} {'delete' if text is None else 'set'}"
            record(connection, action, target, (text or "")[:_STORY], user=user)
            made = _find(connection, target, kind)
        if made is None:  # it was written in this transaction
            raise NotKnown(f"the state {kind} of {target} is gone")
        return made


def is_isolated(state: DesiredState | None) -> bool:
    """Whether a state of isolation is in force."""
    return state is not None and state.active and (not state.ends_us or state.ends_us > now_us())


def settings_of(state: DesiredState) -> Settings:
    """Return a state's settings, checked once more."""
    return isolation.check(state.kind, state.settings)


def state_of(row: Row[Any]) -> DesiredState:
    """Return a row of the table as a state."""
    values = dict(row._mapping)
    text = values["settings"]
    values["settings"] = None if text is None else msgspec.json.decode(text)
    values["active"] = bool(values["active"])
    return DesiredState(**values)


def _find(connection: Connection, target: str, kind: str) -> DesiredState | None:
    table = desired_states
    query = select(table).where(table.c.target == target, table.c.kind == kind)
    row = connection.execute(query).first()
    return None if row is None else state_of(row)


def _check(connection: Connection, target: str, kind: str) -> None:
    if kind not in KINDS:
        raise OrderProblem(f"no state is named '{kind[:32]}'; there are: {', '.join(KINDS)}")
    if target == ALL:
        if kind != PREVENTION:
            raise OrderProblem(f"{ISOLATION} is for one endpoint at a time, not for 'all'")
        return
    found = select(endpoints.c.agent_id).where(endpoints.c.agent_id == target)
    if connection.execute(found).first() is None:
        raise NotKnown(f"no endpoint '{target[:64]}'; see: deodar edr endpoints list")
