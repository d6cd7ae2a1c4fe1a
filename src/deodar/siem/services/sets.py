"""Resource sets in the core's database, with every version, their files sealed.

A version is what is saved at once: the text and the files. Files keep their content from version to
version unless they are given anew. A service runs with one version until it is told to take the
newest.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deodar.kit.acting import actor
from deodar.siem.errors import NotKnown, NotPossible, SetProblem
from deodar.siem.services import resource_set
from deodar.siem.services.database import now_us, record
from deodar.siem.services.tables import resource_sets, sealed_files, services, set_versions
from deodar.siem.settings import check_name
from deodar.tls.certificates import fingerprint, self_signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from deodar.siem.services.database import Database
    from deodar.siem.services.sealing import Sealer

MOST_SETS = 1_000
MOST_FILES = 64
LARGEST_FILE = 4 << 20
KEPT_VERSIONS = 100


class SetVersion(msgspec.Struct, frozen=True):
    """One version of a set; `files` are names, each with the id of its content."""

    name: str
    version: int
    saved_us: int
    user: str
    note: str
    settings: str
    files: dict[str, str]


class SetRow(msgspec.Struct, frozen=True):
    """A set in a list; `services` are the names of those that are made of it."""

    id: str
    name: str
    version: int
    created_us: int
    changed_us: int
    services: tuple[str, ...] = ()


class Saved(msgspec.Struct, frozen=True):
    """What came of saving; for kata/edr also what the EDR server's administrator compares."""

    name: str
    version: int
    changed: bool
    external_id: str = ""
    certificate_sha256: str = ""


class Sets:
    """The resource sets of one core; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def save(
        self, name: str, text: str, files: Mapping[str, bytes] | None = None, note: str = ""
    ) -> Saved:
        """Save a set's next version, if anything in it is new; returns what came of it.

        A kata/edr connector without external id or certificate gets new ones. Raises SetProblem
        for what cannot run, SettingsError for a name that cannot be.
        """
        check_name(name)
        text = resource_set.completed(text, where=name)
        given = dict(files or {})
        with self._database.write() as connection:
            row = _find(connection, name)
            known = _files(connection, row.id, row.version) if row else {}
            kept = {key: known[key] for key in known if key not in given}
            self._complete(name, text, given, kept)
            settings = resource_set.check(text, given.keys() | kept.keys(), where=name)
            used = {one for _, one in resource_set.references(settings)}
            ids = {key: value for key, value in kept.items() if key in used}
            ids |= {key: self._sealer.identity(value) for key, value in given.items()}
            _bound(name, given, ids, used)
            row, changed = self._write(connection, row, name, text, ids, note)
            for key, content in given.items():
                self._keep(connection, row.id, ids[key], content)
            digest = self._shown_digest(connection, row.id, ids, settings)
        external = resource_set.external_id(settings)
        return Saved(name, row.version, changed, external, digest)

    def all(self) -> list[SetRow]:
        """Return all sets by name."""
        query = select(resource_sets).order_by(resource_sets.c.name)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            made = connection.execute(
                select(services.c.set_id, services.c.name).order_by(services.c.name)
            ).all()
        users: dict[str, list[str]] = {}
        for one in made:
            users.setdefault(one.set_id, []).append(one.name)
        return [_row(one, tuple(users.get(one.id, ()))) for one in rows]

    def row(self, name: str) -> SetRow:
        """Return a set by name or id, with its services; raises NotKnown."""
        with self._database.read() as connection:
            found = known(connection, name)
            mine = select(services.c.name).where(services.c.set_id == found.id)
            names = connection.execute(mine.order_by(services.c.name)).scalars()
            return msgspec.structs.replace(found, services=tuple(names))

    def version(self, name: str, version: int = 0) -> SetVersion:
        """Return a version of a set, 0 for the newest; raises NotKnown."""
        with self._database.read() as connection:
            row = known(connection, name)
            return _version(connection, row, version or row.version)

    def versions(self, name: str) -> list[SetVersion]:
        """Return the versions that are kept, the newest first; raises NotKnown."""
        table = set_versions
        with self._database.read() as connection:
            row = known(connection, name)
            query = select(table).where(table.c.set_id == row.id).order_by(table.c.version.desc())
            return [_as_version(row.name, found) for found in connection.execute(query).all()]

    def contents(self, set_id: str, version: SetVersion) -> dict[str, bytes]:
        """Return the files of a version, opened; raises StateError when the key is another."""
        with self._database.read() as connection:
            return {
                name: self._open(connection, set_id, id_) for name, id_ in version.files.items()
            }

    def delete(self, name: str) -> SetRow:
        """Forget a set with all versions; raises NotKnown, NotPossible when services are of it."""
        with self._database.write() as connection:
            row = known(connection, name)
            query = select(services.c.name).where(services.c.set_id == row.id)
            users = ", ".join(connection.execute(query).scalars())
            if users:
                raise NotPossible(f"the set {name} is in use by {users}; delete these first")
            for table in (set_versions, sealed_files):
                connection.execute(delete(table).where(table.c.set_id == row.id))
            connection.execute(delete(resource_sets).where(resource_sets.c.id == row.id))
            record(connection, "resource set deleted", row.name)
        return row

    def _complete(
        self, name: str, text: str, given: dict[str, bytes], kept: Mapping[str, str]
    ) -> None:
        """Make the identity that a kata/edr connector shows, if the set has none."""
        for file in given:
            if not resource_set.is_file_name(file):
                raise SetProblem(f"{name}: {file!r} is no plain name of a file")
        wanted = resource_set.secret_named(text, where=name)
        if wanted and not wanted.startswith("/") and wanted not in given and wanted not in kept:
            given[wanted] = self_signed(f"deodar-{name}").pem

    def _write(
        self,
        connection: Connection,
        row: SetRow | None,
        name: str,
        text: str,
        ids: Mapping[str, str],
        note: str,
    ) -> tuple[SetRow, bool]:
        now = now_us()
        if row is None:
            _room(connection)
            row = SetRow(str(uuid.uuid4()), name, 0, now, now)
            values = msgspec.structs.asdict(row)
            del values["services"]
            connection.execute(insert(resource_sets).values(**values))
        else:
            before = _version(connection, row, row.version)
            if (before.settings, before.files) == (text, ids):
                return row, False
        number = row.version + 1
        version = {"set_id": row.id, "version": number, "saved_us": now, "note": note[:256]}
        version |= {"user": actor().name[:128], "settings": text}
        version["files"] = msgspec.json.encode(ids).decode()
        connection.execute(insert(set_versions).values(**version))
        mine = resource_sets.c.id == row.id
        changes = {"version": number, "changed_us": now}
        connection.execute(update(resource_sets).where(mine).values(**changes))
        _drop_oldest(connection, row.id, number)
        action = "resource set added" if number == 1 else "resource set changed"
        record(connection, action, name, f"version {number} {note}".rstrip())
        return msgspec.structs.replace(row, version=number), True

    def _keep(self, connection: Connection, set_id: str, id_: str, content: bytes) -> None:
        table = sealed_files
        mine = (table.c.set_id == set_id) & (table.c.id == id_)
        if connection.execute(select(table.c.id).where(mine)).first() is None:
            sealed = self._sealer.seal(content, _place(set_id, id_))
            connection.execute(insert(table).values(set_id=set_id, id=id_, sealed=sealed))

    def _open(self, connection: Connection, set_id: str, id_: str) -> bytes:
        table = sealed_files
        mine = (table.c.set_id == set_id) & (table.c.id == id_)
        sealed = connection.execute(select(table.c.sealed).where(mine)).scalar_one()
        return self._sealer.open(bytes(sealed), _place(set_id, id_))

    def _shown_digest(
        self, connection: Connection, set_id: str, ids: Mapping[str, str], settings: Any
    ) -> str:
        name = resource_set.secret_file(settings)
        return fingerprint(self._open(connection, set_id, ids[name])) if name in ids else ""


def newest(connection: Connection, set_id: str) -> int:
    """Return the number of a set's newest version, 0 for none."""
    query = select(resource_sets.c.version).where(resource_sets.c.id == set_id)
    return int(connection.execute(query).scalar() or 0)


def is_one_client(text: str, where: str) -> bool:
    """Whether a set's connector is one client of its server, as kata/edr is."""
    return bool(resource_set.secret_named(text, where=where))


def _place(set_id: str, id_: str) -> str:
    return f"resource set {set_id}, file {id_}"


def _find(connection: Connection, name: str) -> SetRow | None:
    table = resource_sets
    row = connection.execute(select(table).where((table.c.name == name) | (table.c.id == name)))
    found = row.first()
    return None if found is None else _row(found)


def _row(row: Any, services: tuple[str, ...] = ()) -> SetRow:
    return SetRow(row.id, row.name, row.version, row.created_us, row.changed_us, services)


def known(connection: Connection, name: str) -> SetRow:
    """Return a set by name or id; raises NotKnown."""
    found = _find(connection, name)
    if found is None:
        raise NotKnown(f"no resource set '{name[:64]}'; see: deodar siem resource-set list")
    return found


def _version(connection: Connection, row: SetRow, version: int) -> SetVersion:
    table = set_versions
    mine = (table.c.set_id == row.id) & (table.c.version == version)
    found = connection.execute(select(table).where(mine)).first()
    if found is None:
        raise NotKnown(f"the set {row.name} has no version {version}, or it is no longer kept")
    return _as_version(row.name, found)


def _as_version(name: str, row: Any) -> SetVersion:
    files = msgspec.json.decode(row.files, type=dict[str, str])
    return SetVersion(name, row.version, row.saved_us, row.user, row.note, row.settings, files)


def _files(connection: Connection, set_id: str, version: int) -> dict[str, str]:
    table = set_versions
    mine = (table.c.set_id == set_id) & (table.c.version == version)
    found = connection.execute(select(table.c.files).where(mine)).scalar_one()
    return msgspec.json.decode(found, type=dict[str, str])


def _bound(name: str, given: Mapping[str, bytes], ids: Mapping[str, str], used: set[str]) -> None:
    if len(ids) > MOST_FILES:
        raise SetProblem(f"{name}: a set has at most {MOST_FILES} files")
    for file, content in given.items():
        if file not in used:
            raise SetProblem(f"{name}: no setting names the file {file}")
        if len(content) > LARGEST_FILE:
            raise SetProblem(f"{name}: {file}: a file has at most {LARGEST_FILE >> 20} MB")


def _room(connection: Connection) -> None:
    count = connection.execute(select(func.count()).select_from(resource_sets)).scalar_one()
    if count >= MOST_SETS:
        raise NotPossible(f"there are {MOST_SETS} resource sets already; delete some first")


def _drop_oldest(connection: Connection, set_id: str, newest_version: int) -> None:
    """Drop versions beyond the limit that no service runs with, and files that none has."""
    table = set_versions
    mine = table.c.set_id == set_id
    wanted = select(services.c.wanted_version).where(services.c.set_id == set_id)
    old = table.c.version <= newest_version - KEPT_VERSIONS
    connection.execute(delete(table).where(mine & old & table.c.version.not_in(wanted)))
    kept: set[str] = set()
    for files in connection.execute(select(table.c.files).where(mine)).scalars():
        kept |= set(msgspec.json.decode(files, type=dict[str, str]).values())
    gone = (sealed_files.c.set_id == set_id) & sealed_files.c.id.not_in(kept)
    connection.execute(delete(sealed_files).where(gone))
