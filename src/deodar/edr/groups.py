"""Groups of endpoints: each endpoint is in one, and follows its policy.

The group ``default`` is always there. A group without a policy of its own follows that of
``default``; what a group's policy does not name is taken from there too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, insert, select

from deodar.edr.database import now_us, record
from deodar.edr.errors import GroupProblem, NotKnown
from deodar.edr.policies import DEFAULT, Policies
from deodar.edr.tables import endpoint_groups as table
from deodar.edr.tables import endpoints

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database

MOST = 1000
"""How many groups there may be."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


class Group(msgspec.Struct, frozen=True):
    """One group; `policy_version` is that of the policy that its agents must follow, 0 for none."""

    name: str
    note: str
    created_us: int
    endpoints: int = 0
    policy_version: int = 0


class Groups:
    """The groups of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[Group]:
        """Return all groups by name, with how many endpoints each has."""
        counted = select(endpoints.c.group_name, func.count()).group_by(endpoints.c.group_name)
        with self._database.read() as connection:
            counts = {row[0]: int(row[1]) for row in connection.execute(counted)}
            wanted = Policies(self._database).in_force(connection)
            rows = connection.execute(select(table).order_by(table.c.name)).all()
        return [
            Group(
                row.name,
                row.note,
                row.created_us,
                counts.get(row.name, 0),
                wanted.get(row.name, wanted.get(DEFAULT, 0)),
            )
            for row in rows
        ]

    def get(self, name: str) -> Group:
        """Return one group; raises NotKnown."""
        found = next((group for group in self.list() if group.name == name), None)
        if found is None:
            raise NotKnown(_unknown(name))
        return found

    def add(self, name: str, note: str = "") -> Group:
        """Make a group and return it; raises GroupProblem."""
        if not _NAME.fullmatch(name):
            raise GroupProblem(
                "a group's name has up to 64 small letters, digits, dots, hyphens and underscores, "
                "and begins with a letter or digit"
            )
        made = Group(name, note[:256], now_us())
        with self._database.write() as connection:
            if _has(connection, name):
                raise GroupProblem(f"there is a group '{name}' already")
            if connection.execute(select(func.count()).select_from(table)).scalar_one() >= MOST:
                raise GroupProblem(f"there are {MOST} groups already, which is the most")
            row = {"name": made.name, "note": made.note, "created_us": made.created_us}
            connection.execute(insert(table).values(**row))
            record(connection, "group add", name, made.note)
        return made

    def remove(self, name: str) -> None:
        """Remove a group without endpoints, and end its policy.

        Raises NotKnown, and GroupProblem when it has endpoints or is the default one.
        """
        if name == DEFAULT:
            raise GroupProblem(f"the group '{DEFAULT}' cannot be removed")
        with self._database.write() as connection:
            check(connection, name)
            own = endpoints.c.group_name == name
            count = connection.execute(select(func.count()).where(own)).scalar_one()
            if count:
                raise GroupProblem(
                    f"the group '{name}' has {count} endpoints; first move them: "
                    "deodar edr endpoints move AGENT GROUP"
                )
            connection.execute(delete(table).where(table.c.name == name))
            Policies(self._database).end(connection, name)
            record(connection, "group remove", name)


def check(connection: Connection, name: str) -> None:
    """Raise NotKnown when there is no group of that name."""
    if not _has(connection, name):
        raise NotKnown(_unknown(name))


def _has(connection: Connection, name: str) -> bool:
    return connection.execute(select(table.c.name).where(table.c.name == name)).first() is not None


def _unknown(name: str) -> str:
    return f"no group '{name[:100]}'; see: deodar edr group list"
