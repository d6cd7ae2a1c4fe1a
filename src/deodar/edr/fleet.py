"""The endpoints as a fleet: found by state, group, tag, name and policy, moved and tagged.

An endpoint counts as offline when it was not heard for a few of its synchronization periods, which
its policy sets. It drifts when its agent follows another policy than it must.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import and_, case, func, literal, or_, select, tuple_, update

from deodar.edr import groups
from deodar.edr.database import now_us, record
from deodar.edr.endpoint import ENROLLED, REVOKED, SELECT, Endpoint, as_endpoint
from deodar.edr.errors import FleetProblem, NotKnown
from deodar.edr.policies import DEFAULT, Policies
from deodar.edr.tables import endpoints as table
from deodar.tasks.settings import KataEdrSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement, Connection

    from deodar.edr.database import Database

MOST_TAGS = 32
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_MINUTE_US = 60 * 1_000_000
_PERIOD = KataEdrSettings().synchronization_period


class Presence(StrEnum):
    """How an endpoint stands."""

    ONLINE = "online"
    OFFLINE = "offline"
    NEVER = "never"
    REVOKED = "revoked"


class Member(Endpoint, frozen=True):
    """An endpoint with how it stands, and the version of the policy that it must follow."""

    presence: Presence = Presence.NEVER
    wanted_policy: int = 0
    drifts: bool = False


class Query(msgspec.Struct, frozen=True):
    """Which endpoints are wanted; None stands for all. In `name` an asterisk is any text."""

    presence: Presence | None = None
    group: str | None = None
    tag: str | None = None
    name: str | None = None
    drifts: bool | None = None


Place = tuple[int, str]
"""When an endpoint was enrolled, and its id: the order of lists."""


class Fleet:
    """The endpoints of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, offline_periods: int = 3) -> None:
        self._database = database
        self._periods = offline_periods

    def select(
        self, query: Query, limit: int | None = None, after: Place | None = None
    ) -> list[Member]:
        """Return the endpoints that fit, in the order of their enrolment, behind `after`."""
        with self._database.read() as connection:
            wanted = Policies(self._database).in_force(connection)
            limits = self._limits(connection)
            found = SELECT.where(*_conditions(query, limits, wanted))
            if after is not None:
                found = found.where(tuple_(table.c.enrolled_us, table.c.agent_id) > after)
            found = found.order_by(table.c.enrolled_us, table.c.agent_id).limit(limit)
            rows = connection.execute(found).all()
        return [_member(as_endpoint(row), limits, wanted) for row in rows]

    def get(self, agent_id: str) -> Member:
        """Return one endpoint; raises NotKnown."""
        with self._database.read() as connection:
            return self._get(connection, agent_id)

    def counts(self) -> dict[str, int]:
        """Return how many endpoints stand how."""
        with self._database.read() as connection:
            limits = self._limits(connection)
            stands = case(
                *((_stands(presence, limits), literal(presence.value)) for presence in Presence),
                else_=literal(""),
            ).label("stands")
            # Grouped by name: PostgreSQL takes two parameters of one value for different ones.
            rows = connection.execute(select(stands, func.count()).group_by("stands")).all()
        return {presence.value: 0 for presence in Presence} | {row[0]: row[1] for row in rows}

    def move(self, agent_id: str, group: str) -> Member:
        """Put an endpoint into a group, whose policy it gets when it next synchronizes.

        Returns it; raises NotKnown.
        """
        with self._database.write() as connection:
            groups.check(connection, group)
            before = self._get(connection, agent_id)
            own = table.c.agent_id == agent_id
            connection.execute(update(table).where(own).values(group_name=group))
            told = {"before": before.group_name, "after": group}
            record(connection, "endpoint move", agent_id, before.name, **told)
            return self._get(connection, agent_id)

    def tag(self, agent_id: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Member:
        """Give an endpoint tags and take others; returns it. Raises NotKnown or FleetProblem."""
        added, removed = list(dict.fromkeys(add)), set(remove)
        for one in added:
            if not _TAG.fullmatch(one):
                raise FleetProblem(
                    f"'{one[:80]}' is no tag: up to 63 letters, digits, dots, hyphens, underscores"
                )
        with self._database.write() as connection:
            before = self._get(connection, agent_id)
            kept = [one for one in before.tags if one not in removed]
            tags = list(dict.fromkeys([*kept, *added]))
            if len(tags) > MOST_TAGS:
                raise FleetProblem(f"an endpoint has at most {MOST_TAGS} tags")
            own = table.c.agent_id == agent_id
            connection.execute(update(table).where(own).values(tags=as_text(tags)))
            told = {"before": ", ".join(before.tags), "after": ", ".join(tags)}
            record(connection, "endpoint tag", agent_id, before.name, **told)
            return self._get(connection, agent_id)

    def _get(self, connection: Connection, agent_id: str) -> Member:
        row = connection.execute(SELECT.where(table.c.agent_id == agent_id)).first()
        if row is None:
            raise NotKnown(f"no endpoint '{agent_id[:100]}'; see: deodar edr endpoints list")
        wanted = Policies(self._database).in_force(connection)
        return _member(as_endpoint(row), self._limits(connection), wanted)

    def _limits(self, connection: Connection) -> dict[str, int]:
        """Return by group since when an endpoint must have been heard to be online (µs)."""
        now, limits = now_us(), {}
        for name, settings in Policies(self._database).all_settings_in_force(connection).items():
            minutes = settings.get("KATAEDR", {}).get("SynchronizationPeriod", _PERIOD)
            limits[name] = now - self._periods * int(minutes) * _MINUTE_US
        return limits


def as_text(tags: Iterable[str]) -> str:
    """Return tags as their column has them: each between two commas."""
    joined = ",".join(tags)
    return f",{joined}," if joined else ""


def _member(endpoint: Endpoint, limits: Mapping[str, int], wanted: Mapping[str, int]) -> Member:
    must = wanted.get(endpoint.group_name, wanted.get(DEFAULT, 0))
    told = endpoint.synchronized_us > 0 and endpoint.state == ENROLLED
    return Member(
        **msgspec.structs.asdict(endpoint),
        presence=_presence(endpoint, limits),
        wanted_policy=must,
        drifts=told and endpoint.policy_version != must,
    )


def _presence(endpoint: Endpoint, limits: Mapping[str, int]) -> Presence:
    if endpoint.state == REVOKED:
        return Presence.REVOKED
    if not endpoint.last_contact_us:
        return Presence.NEVER
    since = limits.get(endpoint.group_name, limits[DEFAULT])
    return Presence.ONLINE if endpoint.last_contact_us >= since else Presence.OFFLINE


def _conditions(
    query: Query, limits: Mapping[str, int], wanted: Mapping[str, int]
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.presence is not None:
        found.append(_stands(query.presence, limits))
    if query.group is not None:
        found.append(table.c.group_name == query.group)
    if query.tag is not None:
        found.append(table.c.tags.contains(as_text([query.tag]), autoescape=True))
    if query.name is not None:
        found.append(_named(query.name))
    if query.drifts is not None:
        drifts = _drifts(wanted)
        found.append(drifts if query.drifts else ~drifts)
    return found


def _stands(presence: Presence, limits: Mapping[str, int]) -> ColumnElement[bool]:
    enrolled, heard = table.c.state == ENROLLED, table.c.last_contact_us
    if presence is Presence.REVOKED:
        return table.c.state == REVOKED
    if presence is Presence.NEVER:
        return and_(enrolled, heard == 0)
    online = heard >= _by_group(limits, limits[DEFAULT])
    return and_(enrolled, heard > 0, online if presence is Presence.ONLINE else ~online)


def _drifts(wanted: Mapping[str, int]) -> ColumnElement[bool]:
    must = _by_group(wanted, wanted.get(DEFAULT, 0))
    enrolled = table.c.state == ENROLLED
    return and_(enrolled, table.c.synchronized_us > 0, table.c.policy_version != must)


def _by_group(values: Mapping[str, int], default: int) -> ColumnElement[int]:
    """Return an expression: the value of an endpoint's group."""
    others = [(table.c.group_name == name, literal(value)) for name, value in values.items()]
    return case(*others, else_=literal(default)) if others else literal(default)


def _named(pattern: str) -> ColumnElement[bool]:
    """Return whether the host's name, the agent's id or the address fits; case does not count."""
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern.lower()).replace("*", "%")
    columns = (table.c.name, table.c.agent_id, table.c.address)
    return or_(*(func.lower(column).like(escaped, escape="\\") for column in columns))
