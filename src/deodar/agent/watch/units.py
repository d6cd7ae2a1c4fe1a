"""All units of systemd that are there as files: where, with what is added to them, and whether on.

The folders and their order are those of systemd.unit(5): a file in an earlier folder hides one of
the same name in a later one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.errors import UnusableFile
from deodar.agent.watch import account_files, unit_files
from deodar.agent.watch.files import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.agent.watch.files import Entry, Files

SYSTEM = (
    "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
    "/run/systemd/generator.early", "/etc/systemd/system", "/run/systemd/system",
    "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
    "/lib/systemd/system", "/run/systemd/generator.late",
)  # fmt: skip
EVERY_USER = (
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
)
OF_USER = (".config/systemd/user", ".local/share/systemd/user")
GENERATED = "/run/systemd/generator"
FIRST_UID, LAST_UID = 1000, 60_000
"""Accounts of people, and root, may have units of their own."""
MOST_ACCOUNTS = 1000
NOTHING = unit_files.UnitText("", ())
ENABLING = (".wants", ".requires", ".upholds")
KINDS = (".service", ".socket", ".timer")


class Manager(NamedTuple):
    """A systemd that reads unit files."""

    user: str
    """Empty for the system's, "*" for that of every account, else the account's name."""
    folders: tuple[str, ...]


@dataclass
class Unit:
    """One unit, as its manager would load it."""

    name: str
    manager: Manager
    path: str = ""
    """Of the file that holds; empty when only links or additions are there."""
    masked: bool = False
    alias_of: str = ""
    text: unit_files.UnitText = NOTHING
    additions: dict[str, unit_files.UnitText] = field(default_factory=dict)
    """Drop-in files by path, in the order in which they hold."""
    wanted_by: list[str] = field(default_factory=list)
    """Units that start it: it is enabled."""
    links: list[str] = field(default_factory=list)
    """Paths of the links that say so."""
    unreadable: bool = False
    """One of its files cannot be used."""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.manager.user}/{self.name}"

    @property
    def settings(self) -> unit_files.Settings:
        """What holds of all its files."""
        return unit_files.merge([self.text, *self.additions.values()])

    @property
    def digest(self) -> str:
        """What changes when any of its files says something else."""
        parts = [f"{path}={text.digest}" for path, text in self.additions.items()]
        return "|".join([self.text.digest, *sorted(parts)])


class UnitScan:
    """One look at all unit files. For one thread."""

    def __init__(self, files: Files, accounts: Iterable[tuple[str, str]]) -> None:
        """`accounts` are names and home folders of those that may have units of their own."""
        self._files = files
        self.units: dict[str, Unit] = {}
        self.folders: list[str] = []
        """All that was looked into: the places to watch."""
        self.problems: list[str] = []
        is_merged = files.target("/lib") is not None
        for manager in managers(accounts):
            for folder in reversed(manager.folders):  # the last one that is read holds
                if not (is_merged and folder.startswith("/lib/")):
                    self._folder(manager, folder)
        self._fill_instances()

    def _folder(self, manager: Manager, folder: str) -> None:
        self.folders.append(folder)
        for entry in self._names(folder):
            path = f"{folder}/{entry.name}"
            stem, extension = _split(entry.name)
            if extension == ".d" and stem.endswith(KINDS):
                self._additions(self._unit(manager, stem), path)
            elif extension in ENABLING and (entry.is_folder or entry.is_link):
                self._wants(manager, stem, path)
            elif extension in KINDS and not entry.is_folder:
                self._define(self._unit(manager, entry.name), path, entry)

    def _define(self, unit: Unit, path: str, entry: Entry) -> None:
        target = (self._files.target(path) or "") if entry.is_link else ""
        name = target.rpartition("/")[2]
        unit.path, unit.masked, unit.alias_of = plain(path), target == "/dev/null", ""
        unit.text = NOTHING
        if unit.masked:
            return
        if target and name != unit.name and name.endswith(KINDS):
            unit.alias_of = plain(name)
        text = self._text(unit, path)
        unit.text = text or unit.text
        unit.masked = text is not None and not text.digest and not unit.alias_of

    def _additions(self, unit: Unit, folder: str) -> None:
        self.folders.append(folder)
        for entry in self._names(folder):
            path = f"{folder}/{entry.name}"
            if entry.name.endswith(".conf"):
                for known in [k for k in unit.additions if k.endswith(f"/{plain(entry.name)}")]:
                    del unit.additions[known]  # one of the same name in a later folder
                if (text := self._text(unit, path)) is not None:
                    unit.additions[plain(path)] = text

    def _wants(self, manager: Manager, wanting: str, folder: str) -> None:
        self.folders.append(folder)
        for entry in self._names(folder):
            if entry.name.endswith(KINDS):
                unit = self._unit(manager, entry.name)
                unit.wanted_by.append(plain(wanting))
                unit.links.append(plain(f"{folder}/{entry.name}"))

    def _fill_instances(self) -> None:
        """Let instances that are only wanted, such as getty@tty1, have their template's file."""
        for unit in self.units.values():
            stem, at, rest = unit.name.partition("@")
            if unit.path or not at or rest.startswith("."):
                continue
            name = f"{stem}@{_split(rest)[1]}"
            template = self.units.get(f"{unit.manager.user}/{name}")
            if template is not None:
                unit.path, unit.text, unit.masked = template.path, template.text, template.masked
                unit.additions = {**template.additions, **unit.additions}

    def _unit(self, manager: Manager, name: str) -> Unit:
        unit = Unit(plain(name), manager)
        return self.units.setdefault(unit.key, unit)

    def _text(self, unit: Unit, path: str) -> unit_files.UnitText | None:
        try:
            return self._files.parsed(path, unit_files.parse)
        except UnusableFile as error:
            self.problems.append(str(error))
            unit.unreadable = True
            return None

    def _names(self, folder: str) -> list[Entry]:
        try:
            return self._files.names(folder)
        except UnusableFile as error:
            self.problems.append(str(error))
            return []


def managers(accounts: Iterable[tuple[str, str]]) -> Iterator[Manager]:
    """Yield all that read unit files: of the system, of every account, of each account."""
    yield Manager("", SYSTEM)
    yield Manager("*", EVERY_USER)
    for name, home in accounts:
        yield Manager(name, tuple(f"{home.rstrip('/')}/{folder}" for folder in OF_USER))


def accounts_with_homes(files: Files) -> list[tuple[str, str]]:
    """Return names and home folders of root and of the people on this host."""
    try:
        table = files.parsed("/etc/passwd", account_files.passwd, account_files.MOST_BYTES)
    except UnusableFile:
        return []
    found = []
    for name, _, uid, _, _, home, _ in table.rows.values() if table is not None else ():
        is_real = int(uid) == 0 or FIRST_UID <= int(uid) < LAST_UID
        if is_real and home.startswith("/") and len(home) > 1:
            found.append((name, home))
    return found[:MOST_ACCOUNTS]


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if dot else (name, "")


def exists(unit: Unit) -> bool:
    """Whether there is more of a unit than a link or an addition for one that does not exist."""
    return bool(unit.path)
