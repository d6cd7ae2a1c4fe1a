"""Policies: settings that the server gives its agents, and that stand above those of a host.

There is one policy, ``default``, for all agents; the tables have names so that groups of agents can
have their own later. Each change makes a new version. Versions only rise, also over a policy that
was cleared, so that an agent which missed a change is never taken for one that has it. What a
policy may say is decided by `deodar.tasks`; the last versions are kept with who made them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deodar.edr.acting import actor
from deodar.edr.database import now_us, record
from deodar.edr.errors import PolicyProblem
from deodar.edr.tables import policies, policy_versions
from deodar.tasks.check import flatten
from deodar.tasks.policy import Policy, check_policy, to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database

DEFAULT = "default"
KEPT = 100
"""How many versions of a policy are kept."""
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
        self._sent = InForce()

    def set(self, settings: Mapping[str, Any], name: str = DEFAULT) -> PolicyVersion:
        """Put settings into force; returns the version, which is the present one if they are equal.

        Raises InvalidSetting, and PolicyProblem for a policy that says nothing.
        """
        checked = {task: values for task, values in check_policy(settings).items() if values}
        if not checked:
            raise PolicyProblem(
                "a policy without settings changes nothing; to end it: deodar edr policy clear"
            )
        with self._database.write() as connection:
            present = _present(connection, name)
            if present is not None and present.settings == checked:
                return present
            return self._put(connection, name, present, checked)

    def clear(self, name: str = DEFAULT) -> PolicyVersion:
        """Give agents no policy any more; returns the version. Raises PolicyProblem if none is."""
        with self._database.write() as connection:
            present = _present(connection, name)
            if present is None or present.settings is None:
                raise PolicyProblem("there is no policy to clear")
            return self._put(connection, name, present, None)

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

    def for_agent(self, connection: Connection, version: int, name: str = DEFAULT) -> InForce:
        """Return what an agent with policy `version` is told, within a transaction of the caller.

        The policy itself is read and encoded once for all agents that need it.
        """
        table = policies
        given = (table.c.name == name) & table.c.settings.is_not(None)
        present = connection.execute(select(table.c.version).where(given)).scalar() or 0
        if present in (0, version):
            return InForce(present)
        sent = self._sent
        if sent.version != present:
            found = _version(connection, name, present)
            self._sent = sent = InForce(present, None if found is None else _wire(found))
        return sent

    def _put(
        self,
        connection: Connection,
        name: str,
        present: PolicyVersion | None,
        settings: Settings | None,
    ) -> PolicyVersion:
        made = PolicyVersion(
            name=name,
            version=present.version + 1 if present else 1,
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
        action = "policy clear" if settings is None else "policy set"
        record(connection, action, name, story(made))
        return made


def story(policy: PolicyVersion) -> str:
    """Return a version and the names of its settings in one line; values may be secret."""
    names = ", ".join(flatten(policy.settings or {}))
    told = names if len(names) <= _LONGEST_STORY else f"{names[:_LONGEST_STORY]}…"
    return f"version {policy.version}: {told}" if told else f"version {policy.version}"


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
    settings = None if row.settings is None else msgspec.json.decode(row.settings, type=Settings)
    return PolicyVersion(row.name, row.version, row.made_us, row.user, settings)


def _wire(policy: PolicyVersion) -> msgspec.Raw:
    told = Policy(version=policy.version, name=policy.name, settings=policy.settings or {})
    return msgspec.Raw(msgspec.json.encode(to_wire(told)))
