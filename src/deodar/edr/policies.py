"""Policies: settings that the server gives its agents, and that stand above those of a host.

The policy ``default`` is for all agents. A group of endpoints may have its own, which lies over it:
what it does not name is taken from ``default``. Each change makes a new version; a change of
``default`` makes one of each group's policy too, since what its agents get is another. Numbers of
versions are given once for all policies and only rise, also over a policy that was cleared, so that
an agent which missed a change or was moved is never taken for one that has it. What a policy may
say is decided by `deodar.tasks`; the last versions are kept with who made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, true, update

from deodar.edr.database import now_us, record
from deodar.edr.errors import NotKnown, PolicyProblem
from deodar.edr.policy_changes import differences
from deodar.edr.tables import endpoint_groups, policies, policy_versions
from deodar.kit.acting import actor
from deodar.tasks.check import flatten, merge
from deodar.tasks.policy import Policy, check_policy, to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection, Row

    from deodar.edr.database import Database

DEFAULT = "default"
KEPT = 100
"""How many versions of a policy are kept."""
_SENT_KEPT = 64
_LONGEST_STORY = 2000

Settings = dict[str, dict[str, Any]]


class PolicyVersion(msgspec.Struct, frozen=True):
    """One version of a policy; `settings` by task name, None when the policy was cleared."""

    name: str
    version: int
    made_us: int
    user: str
    settings: Settings | None


class InForce(msgspec.Struct, frozen=True):
    """What an agent is told: the policy's version, 0 if there is none, and itself if it is new."""

    version: int = 0
    policy: msgspec.Raw | None = None


class Policies:
    """The policies of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sent: dict[int, InForce] = {}

    def set(self, settings: Mapping[str, Any], name: str = DEFAULT) -> PolicyVersion:
        """Put settings into force; returns the version, which is the present one if they are equal.

        `name` is a group's. Raises InvalidSetting, PolicyProblem for a policy that says nothing,
        and NotKnown.
        """
        checked = {task: values for task, values in check_policy(settings).items() if values}
        if not checked:
            raise PolicyProblem(
                "a policy without settings changes nothing; to end it: deodar edr policy clear"
            )
        with self._database.write() as connection:
            _check_group(connection, name)
            present = _present(connection, name)
            if present is not None and present.settings == checked:
                return present
            return _change(connection, name, present, checked)

    def clear(self, name: str = DEFAULT) -> PolicyVersion:
        """Give agents no policy any more; returns the version. Raises PolicyProblem if none is."""
        with self._database.write() as connection:
            ended = self.end(connection, name)
        if ended is None:
            raise PolicyProblem("there is no policy to clear")
        return ended

    def end(self, connection: Connection, name: str) -> PolicyVersion | None:
        """Clear a policy within a transaction of the caller; returns None if there is none."""
        present = _present(connection, name)
        if present is None or present.settings is None:
            return None
        return _change(connection, name, present, None)

    def current(self, name: str = DEFAULT) -> PolicyVersion | None:
        """Return the policy in force, or None."""
        with self._database.read() as connection:
            present = _present(connection, name)
        return None if present is None or present.settings is None else present

    def at(self, version: int, name: str = DEFAULT) -> PolicyVersion:
        """Return a version that is still kept; raises PolicyProblem."""
        with self._database.read() as connection:
            found = _version(connection, name, version)
        if found is None:
            raise PolicyProblem(f"there is no version {version}; see: deodar edr policy history")
        return found

    def history(self, name: str = DEFAULT) -> list[PolicyVersion]:
        """Return the versions that are kept, the newest first."""
        table = policy_versions
        query = select(table).where(table.c.name == name).order_by(table.c.version.desc())
        with self._database.read() as connection:
            return [_policy(row) for row in connection.execute(query).all()]

    def for_agent(self, connection: Connection, version: int, group: str = DEFAULT) -> InForce:
        """Return what an agent with policy `version` is told, within a transaction of the caller.

        The policy itself is read and encoded once for all agents that need it.
        """
        wanted = self.in_force(connection, group)
        name = group if group in wanted else DEFAULT
        present = wanted.get(name, 0)
        if present in (0, version):
            return InForce(present)
        sent = self._sent.get(present)
        if sent is None:
            settings = self.settings_in_force(connection, name)
            wire = to_wire(Policy(version=present, name=name, settings=settings))
            sent = InForce(present, msgspec.Raw(msgspec.json.encode(wire)))
            while len(self._sent) >= _SENT_KEPT:
                self._sent.pop(next(iter(self._sent)))
            self._sent[present] = sent
        return sent

    def in_force(self, connection: Connection, group: str = "") -> dict[str, int]:
        """Return the versions of the policies in force, by the groups that have their own.

        With `group`, only its own and the default one.
        """
        table = policies
        query = select(table.c.name, table.c.version).where(table.c.settings.is_not(None))
        if group:
            query = query.where(table.c.name.in_((DEFAULT, group)))
        return {row.name: int(row.version) for row in connection.execute(query)}

    def settings_in_force(self, connection: Connection, group: str = DEFAULT) -> Settings:
        """Return what the agents of a group must follow; empty without a policy."""
        wanted = policies.c.name.in_((DEFAULT, group))
        return _over_default(_given(connection, wanted), group)

    def all_settings_in_force(self, connection: Connection) -> dict[str, Settings]:
        """Return the same for the default group, and all with a policy of their own."""
        given = _given(connection, true())
        return {name: _over_default(given, name) for name in {DEFAULT, *given}}

    def effective(self, group: str = DEFAULT) -> PolicyVersion | None:
        """Return the policy that the agents of a group must follow, or None."""
        with self._database.read() as connection:
            wanted = self.in_force(connection, group)
            name = group if group in wanted else DEFAULT
            found = _version(connection, name, wanted[name]) if name in wanted else None
            if found is None:
                return None
            settings = self.settings_in_force(connection, name)
        return msgspec.structs.replace(found, settings=settings)


def story(policy: PolicyVersion) -> str:
    """Return a version and the names of its settings in one line; values may be secret."""
    names = ", ".join(flatten(policy.settings or {}))
    told = names if len(names) <= _LONGEST_STORY else f"{names[:_LONGEST_STORY]}…"
    return f"version {policy.version}: {told}" if told else f"version {policy.version}"


def _change(
    connection: Connection,
    name: str,
    present: PolicyVersion | None,
    settings: Settings | None,
) -> PolicyVersion:
    """Put a policy in place of the present one, and new versions of those that lie over it."""
    made = _put(connection, name, present, settings)
    action = "policy clear" if settings is None else "policy set"
    before, after = differences(present.settings if present else None, settings)
    record(connection, action, name, story(made), before=before, after=after)
    if name == DEFAULT:
        above = (policies.c.name != DEFAULT) & policies.c.settings.is_not(None)
        query = select(policies.c.name).where(above).order_by(policies.c.name)
        for other in list(connection.execute(query).scalars()):
            own = _present(connection, other)
            if own is not None:
                _put(connection, other, own, own.settings)
    return made


def _put(
    connection: Connection,
    name: str,
    present: PolicyVersion | None,
    settings: Settings | None,
) -> PolicyVersion:
    made = PolicyVersion(
        name=name,
        version=_next_version(connection),
        made_us=now_us(),
        user=actor().name,
        settings=settings,
    )
    text = None if settings is None else msgspec.json.encode(settings).decode()
    row = {"version": made.version, "settings": text, "updated_us": made.made_us}
    if present is None:
        connection.execute(insert(policies).values(name=name, **row))
    else:
        connection.execute(update(policies).where(policies.c.name == name).values(**row))
    _remember(connection, made, text)
    return made


def _given(connection: Connection, wanted: ColumnElement[bool]) -> dict[str, Settings]:
    """Return the settings of policies as they were given, by name."""
    query = select(policies.c.name, policies.c.settings)
    query = query.where(wanted & policies.c.settings.is_not(None))
    return {row.name: _settings(row.settings) or {} for row in connection.execute(query)}


def _over_default(given: Mapping[str, Settings], group: str) -> Settings:
    base = given.get(DEFAULT, {})
    own = given.get(group, {}) if group != DEFAULT else {}
    return {task: merge(base.get(task, {}), own.get(task, {})) for task in {**base, **own}}


def _next_version(connection: Connection) -> int:
    """Return a number above all that were given."""
    return int(connection.execute(select(func.max(policies.c.version))).scalar() or 0) + 1


def _check_group(connection: Connection, name: str) -> None:
    known = select(endpoint_groups.c.name).where(endpoint_groups.c.name == name)
    if connection.execute(known).first() is None:
        raise NotKnown(f"no group '{name[:100]}'; see: deodar edr group list")


def _remember(connection: Connection, made: PolicyVersion, text: str | None) -> None:
    table = policy_versions
    row = {"name": made.name, "version": made.version, "settings": text}
    connection.execute(insert(table).values(**row, made_us=made.made_us, user=made.user))
    old = (table.c.name == made.name) & (table.c.version <= made.version - KEPT)
    connection.execute(delete(table).where(old))


def _present(connection: Connection, name: str) -> PolicyVersion | None:
    """Return the last version, also one that cleared the policy; None if there was never one."""
    query = select(policies.c.version).where(policies.c.name == name).with_for_update()
    version = connection.execute(query).scalar()
    return None if version is None else _version(connection, name, version)


def _version(connection: Connection, name: str, version: int) -> PolicyVersion | None:
    table = policy_versions
    query = select(table).where((table.c.name == name) & (table.c.version == version))
    row = connection.execute(query).first()
    return None if row is None else _policy(row)


def _policy(row: Row[Any]) -> PolicyVersion:
    settings = _settings(row.settings)
    return PolicyVersion(row.name, row.version, row.made_us, row.user, settings)


def _settings(text: str | None) -> Settings | None:
    return None if text is None else msgspec.json.decode(text, type=Settings)
