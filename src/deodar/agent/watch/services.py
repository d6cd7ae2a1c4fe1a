"""The survey of services: units of systemd, of the system and of accounts, and scripts of init."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.errors import UnusableFile
from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.watch import unit_files, units
from deodar.agent.watch.files import plain
from deodar.agent.watch.records import ServiceChange
from deodar.agent.watch.survey import Look, changed, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deodar.agent.watch.files import Entry, Files
    from deodar.agent.watch.records import Operation
    from deodar.agent.watch.units import Unit

INIT_FOLDER = "/etc/init.d"
RUN_LEVELS = tuple(f"/etc/rc{level}.d" for level in "S0123456")
KINDS = (".service", ".socket")


class Service(msgspec.Struct, frozen=True):
    """A service's definition."""

    name: str
    path: str
    command: str
    digest: str
    manager: str = ""
    """Whose manager runs it; "" for the system's."""
    user: str = ""
    """The account that it runs as, when the definition says."""
    masked: bool = False
    alias_of: str = ""
    wanted_by: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    additions: tuple[str, ...] = ()


class ServiceSurvey:
    """Reads the services of one root folder."""

    name = "services"
    kinds: Any = dict[str, Service]
    related: Mapping[str, tuple[str, ...]] = {}

    def __init__(self) -> None:
        self._folders: list[str] = []

    def folders(self, files: Files) -> Iterable[tuple[str, frozenset[str] | None]]:
        """Return the folders to watch, as of the last look."""
        scanned = self._folders or [*units.SYSTEM, *units.EVERY_USER]
        return [(folder, None) for folder in (*scanned, INIT_FOLDER, *RUN_LEVELS)]

    def look(self, files: Files, before: Mapping[str, Any]) -> Look:
        """Read all definitions; one that cannot be read is as before."""
        scan = units.UnitScan(files, units.accounts_with_homes(files))
        self._folders = scan.folders
        items = {
            unit.key: _service(unit)
            for unit in scan.units.values()
            if units.exists(unit) and unit.name.endswith(KINDS)
        }
        problems = [*scan.problems]
        for key in [unit.key for unit in scan.units.values() if unit.unreadable]:
            if key in before:
                items[key] = before[key]
        items |= {f"init/{one.name}": one for one in _scripts(files, before, problems)}
        return Look(items, problems=tuple(problems))

    def is_doubtful(self, before: Mapping[str, Service], after: Mapping[str, Service]) -> bool:
        """Whether generated files are gone: systemd makes them all anew when it reloads."""
        return any(_generated(item) - _generated(after.get(key)) for key, item in before.items())

    def changes(
        self, before: Mapping[str, Service], after: Mapping[str, Service]
    ) -> Iterator[ServiceChange]:
        """Yield what is different."""
        for _, old, new in differences(before, after):
            if old is None and new is not None:
                yield _record("Created", new, new.path, _of_new(new))
            elif new is None and old is not None:
                yield _record("Deleted", old, old.path, [])
            elif old is not None and new is not None:
                yield _record("Modified", new, *_modified(old, new))


def _service(unit: Unit) -> Service:
    settings = unit.settings
    return Service(
        unit.name, unit.path, unit_files.commands(settings), unit.digest, unit.manager.user,
        unit_files.last(settings, "Service", "User"), unit.masked, unit.alias_of,
        tuple(sorted(set(unit.wanted_by))), tuple(sorted(unit.links)), tuple(unit.additions),
    )  # fmt: skip


def _generated(item: Service | None) -> set[str]:
    """Return the files of a service that a generator of systemd made."""
    paths = (item.path, *item.links, *item.additions) if item is not None else ()
    return {path for path in paths if path.startswith(units.GENERATED)}


def _scripts(files: Files, before: Mapping[str, Any], problems: list[str]) -> Iterator[Service]:
    levels = _levels(files, problems)
    for entry in _names(files, INIT_FOLDER, problems):
        if entry.is_folder or entry.name.startswith((".", "README", "skeleton")):
            continue
        path, name = f"{INIT_FOLDER}/{entry.name}", plain(entry.name)
        try:
            digest = files.parsed(path, unit_files.digest_of)
        except UnusableFile as error:
            problems.append(str(error))
            if (known := before.get(f"init/{name}")) is not None:
                yield known
        else:
            wanted = tuple(levels.get(entry.name, ()))
            yield Service(name, plain(path), f"{plain(path)} start", digest or "", wanted_by=wanted)


def _levels(files: Files, problems: list[str]) -> dict[str, list[str]]:
    """Return for each script in which run levels it is started."""
    found: dict[str, list[str]] = {}
    for folder in RUN_LEVELS:
        level = folder.removeprefix("/etc/").removesuffix(".d")
        for entry in _names(files, folder, problems):
            if entry.name.startswith("S"):
                found.setdefault(entry.name[3:], []).append(level)
    return found


def _names(files: Files, folder: str, problems: list[str]) -> list[Entry]:
    try:
        return files.names(folder)
    except UnusableFile as error:
        problems.append(str(error))
        return []


def _of_new(item: Service) -> list[str]:
    changes = ["masked: no -> yes"] if item.masked else []
    if item.wanted_by:
        changes.append(f"enabled: no -> yes ({', '.join(item.wanted_by)})")
    return changes


def _modified(old: Service, new: Service) -> tuple[str, list[str]]:
    """Return the file in which something changed, and what."""
    changes: list[str] = []
    for name, field in (("file", "path"), ("command", "command"), ("user", "user"),
                        ("masked", "masked"), ("alias of", "alias_of")):  # fmt: skip
        changes += changed(name, getattr(old, field), getattr(new, field))
    file = new.path
    added = sorted(set(new.links) - set(old.links)) or sorted(set(old.links) - set(new.links))
    if old.wanted_by != new.wanted_by:
        changes += _enabling(old, new)
        file = added[0] if added and len(changes) == 1 else file
    extra = sorted(set(old.additions) ^ set(new.additions))
    if extra:
        changes += [f"drop-in {'added' if p in new.additions else 'removed'}: {p}" for p in extra]
        file = extra[0]
    if not changes or (old.digest != new.digest and old.command == new.command and not extra):
        changes.append("content")
    return file, changes


def _enabling(old: Service, new: Service) -> list[str]:
    if bool(old.wanted_by) == bool(new.wanted_by):
        return changed("enabled by", old.wanted_by, new.wanted_by)
    by = ", ".join(new.wanted_by or old.wanted_by)
    return [f"{changed('enabled', bool(old.wanted_by), bool(new.wanted_by))[0]} ({by})"]


def _record(operation: Operation, item: Service, file: str, changes: list[str]) -> ServiceChange:
    return ServiceChange(
        0, UNKNOWN_PROCESS, operation, file, tuple(changes), False, item.name, item.path,
        item.command, item.manager,
    )  # fmt: skip
