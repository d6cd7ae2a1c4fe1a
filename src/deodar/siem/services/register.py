"""The services of one core: making them, finding them, giving them orders."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, update

from deodar.siem.errors import NotKnown, NotPossible
from deodar.siem.services import sets
from deodar.siem.services.database import now_us, record
from deodar.siem.services.pairing import refuse_certificates
from deodar.siem.services.service import COLUMNS, Service, as_service
from deodar.siem.services.tables import pairing_tokens, set_versions
from deodar.siem.services.tables import services as table
from deodar.siem.settings import check_name

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.siem.services.database import Database
    from deodar.siem.services.service import Kind

MOST = 1_000


class Register:
    """The services; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, set_name: str, tenant_id: str) -> Service:
        """Make a service of a resource set, to run with the set's newest version.

        Raises SettingsError for the name, NotKnown, NotPossible.
        """
        check_name(name)
        with self._database.write() as connection:
            set_ = sets.known(connection, set_name)
            _alone(connection, set_)
            id_ = str(uuid.uuid4())
            made = {"set_id": set_.id, "wanted_version": set_.version, "local": False}
            _insert(connection, id_, name, "collector", tenant_id, **made)
            record(connection, "service created", name, f"of the set {set_.name}")
            return _one(connection, table.c.id == id_)

    def adopt(self, id_: str, name: str, kind: Kind, tenant_id: str) -> Service:
        """Return a service of the core's own host, which keeps its settings itself.

        It is made if it is not known. Raises NotPossible when another one has its name.
        """
        with self._database.write() as connection:
            found = connection.execute(select(*COLUMNS).where(table.c.id == id_)).first()
            if found is not None:
                return as_service(found)
            _insert(connection, id_, name, kind, tenant_id, local=True)
            record(connection, "service created", name, "on the core's host")
            return _one(connection, table.c.id == id_)

    def list(self) -> list[Service]:
        """Return all services in the order in which they were made."""
        query = select(*COLUMNS).order_by(table.c.created_us, table.c.name)
        with self._database.read() as connection:
            return [as_service(row) for row in connection.execute(query).all()]

    def find(self, name: str) -> Service:
        """Return a service by its name or id; raises NotKnown."""
        with self._database.read() as connection:
            return _one(connection, _named(name), name)

    def reload(self, name: str) -> Service:
        """Have a service take the newest version of its set in the running process."""
        return self._renewed(name, "service reloaded", reloads=table.c.reloads + 1)

    def restart(self, name: str) -> Service:
        """Have a service end its process and start again with the newest version of its set.

        Raises NotKnown, NotPossible for one that was never heard of.
        """
        found = self.find(name)
        if found.report is None:
            raise NotPossible(f"{found.name} has never reported; start it on its host")
        return self._renewed(name, "service restarted", restart_boot=found.report.boot)

    def disable(self, name: str, *, disabled: bool) -> Service:
        """Have a service stop its work, keeping what it has; or go on. Raises NotKnown."""
        action = "service disabled" if disabled else "service enabled"
        return self._change(name, action, disabled_us=now_us() if disabled else 0)

    def debug(self, name: str, *, on: bool) -> Service:
        """Have a service log every request, or no longer. Raises NotKnown."""
        return self._change(name, f"service debug {'on' if on else 'off'}", debug=on)

    def delete(self, name: str) -> Service:
        """Forget a service: its certificates are refused from now on. Raises NotKnown."""
        with self._database.write() as connection:
            found = _one(connection, _named(name), name)
            if found.kind == "storage":
                raise NotPossible(f"{found.name} is the core's own storage and stays")
            refuse_certificates(connection, found.id)
            mine = pairing_tokens.c.service_id == found.id
            connection.execute(delete(pairing_tokens).where(mine))
            connection.execute(delete(table).where(table.c.id == found.id))
            record(connection, "service deleted", found.name, found.id)
            return found

    def _renewed(self, name: str, action: str, **values: Any) -> Service:
        """Change a service, and have it run with the newest version of its set."""
        with self._database.write() as connection:
            found = _one(connection, _named(name), name)
            version = sets.newest(connection, found.set_id)
            connection.execute(
                update(table).where(table.c.id == found.id).values(wanted_version=version, **values)
            )
            record(connection, action, found.name, f"version {version}" if version else "")
            return _one(connection, table.c.id == found.id)

    def _change(self, name: str, action: str, **values: Any) -> Service:
        with self._database.write() as connection:
            found = _one(connection, _named(name), name)
            connection.execute(update(table).where(table.c.id == found.id).values(**values))
            record(connection, action, found.name)
            return _one(connection, table.c.id == found.id)


def _insert(
    connection: Connection, id_: str, name: str, kind: Kind, tenant_id: str, **values: Any
) -> None:
    if connection.execute(select(table.c.id).where(table.c.name == name)).first() is not None:
        raise NotPossible(f"there is a service {name} already")
    if connection.execute(select(func.count()).select_from(table)).scalar_one() >= MOST:
        raise NotPossible(f"there are {MOST} services already; delete some first")
    row = {"id": id_, "name": name, "kind": kind, "tenant_id": tenant_id, "debug": False}
    connection.execute(insert(table).values(created_us=now_us(), **row, **values))


def _alone(connection: Connection, set_: sets.SetRow) -> None:
    """Refuse a second service of a set whose connector is one client of an EDR server."""
    others = connection.execute(select(table.c.name).where(table.c.set_id == set_.id)).scalars()
    other = next(iter(others), None)
    versions = set_versions
    mine = (versions.c.set_id == set_.id) & (versions.c.version == set_.version)
    text = connection.execute(select(versions.c.settings).where(mine)).scalar_one()
    if other is not None and sets.is_one_client(text, set_.name):
        raise NotPossible(
            f"the set {set_.name} is that of {other} already, and a kata/edr connector is one "
            "client of its EDR server: two would fetch every event twice; save a set with another "
            "external_id"
        )


def _named(name: str) -> Any:
    return (table.c.id == name) | (table.c.name == name)


def _one(connection: Connection, which: Any, name: str = "") -> Service:
    row = connection.execute(select(*COLUMNS).where(which)).first()
    if row is None:
        raise NotKnown(f"no service '{name[:64]}'; see: deodar siem service list")
    return as_service(row)
