"""Settings that change while the server runs: what the file ``edr.toml`` says, and changes to it.

Changes are rows of the control data, so that every server on the same database follows them: each
looks every half second. The file's value holds where nothing was changed. Each change is checked
together with all other settings, and audited.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deodar.edr import settings as edr_settings
from deodar.edr.database import now_us, record
from deodar.edr.errors import ControlDataError, NotKnown
from deodar.edr.tables import settings as table
from deodar.kit.acting import actor
from deodar.kit.background import background
from deodar.kit.errors import SettingsError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sqlalchemy import Connection

    from deodar.edr.database import Database
    from deodar.edr.settings import EdrSettings

SECTIONS = ("events_api", "external_systems", "fleet")
"""The parts of the file whose settings can be changed while the server runs."""
LOOK_EVERY = 0.5
_LONGEST_VALUE = 1000

log = logger("edr.live_settings")


class Setting(msgspec.Struct, frozen=True):
    """One setting: the value in force, the file's value, and who changed it when (0 for never)."""

    name: str
    value: Any
    file_value: Any
    changed_us: int = 0
    user: str = ""


class SettingsStore:
    """The changeable settings of the servers on one database; safe to use from several threads."""

    def __init__(self, database: Database, file: EdrSettings) -> None:
        self._database = database
        self._file = file

    def list(self) -> list[Setting]:
        """Return every setting that can be changed, in the order of the file."""
        with self._database.read() as connection:
            rows = _rows(connection)
        return [self._setting(name, rows.get(name)) for name in _names(self._file)]

    def get(self, name: str) -> Setting:
        """Return one setting; raises NotKnown with the nearest name for an unknown one."""
        self._check_name(name)
        with self._database.read() as connection:
            return self._setting(name, _rows(connection).get(name))

    def set(self, name: str, value: Any, user: str = "") -> Setting:
        """Change a setting and return it; text is read as the kind of value that it needs.

        Raises NotKnown, and SettingsError when the value, or what it makes of all together, cannot
        be used.
        """
        self._check_name(name)
        read = _converted(self._file, name, value)
        made = _Row(name, read, now_us(), user or actor().name)
        with self._database.write() as connection:
            rows = _rows(connection)
            before = self._setting(name, rows.get(name))
            _merged(self._file, {**rows, name: made})
            _put(connection, made, new=name not in rows)
            record(connection, "setting set", name, f"{before.value} -> {read}", user=made.user)
        return self._setting(name, made)

    def reset(self, name: str, user: str = "") -> Setting:
        """Give a setting the file's value again and return it; raises NotKnown, SettingsError."""
        self._check_name(name)
        with self._database.write() as connection:
            rows = _rows(connection)
            gone = rows.pop(name, None)
            _merged(self._file, rows)
            if gone is not None:
                connection.execute(delete(table).where(table.c.name == name))
                told = f"{gone.value} -> {_value(self._file, name)}, the file's"
                record(connection, "setting reset", name, told, user=user)
        return self._setting(name, None)

    def in_force(self) -> EdrSettings:
        """Return all settings as they hold now; raises ControlDataError, SettingsError."""
        with self._database.read() as connection:
            return _merged(self._file, _rows(connection))

    def _setting(self, name: str, row: _Row | None) -> Setting:
        given = _value(self._file, name)
        if row is None:
            return Setting(name, given, given)
        return Setting(name, row.value, given, row.changed_us, row.user)

    def _check_name(self, name: str) -> None:
        known = _names(self._file)
        if name in known:
            return
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else "; see: deodar edr settings list"
        raise NotKnown(f"there is no setting '{name[:100]}' that can be changed{hint}")


class LiveSettings:
    """The settings in force in a running server. Used within one event loop."""

    def __init__(self, store: SettingsStore, file: EdrSettings) -> None:
        """Until the first look, and while the database never answered, the file's values hold."""
        self._store = store
        self._current = file
        self._listeners: list[Callable[[EdrSettings], None]] = []
        self._problem = ""

    @property
    def current(self) -> EdrSettings:
        """All settings as they hold now."""
        return self._current

    def subscribe(self, listener: Callable[[EdrSettings], None]) -> None:
        """Call `listener` with the settings now, and after each change."""
        self._listeners.append(listener)
        listener(self._current)

    async def look(self) -> None:
        """Read what holds now; with the database away, what held before goes on to hold."""
        try:
            found = await asyncio.to_thread(self._store.in_force)
        except (ControlDataError, SettingsError) as error:
            if str(error) != self._problem:
                log.warning("settings_not_read", reason=str(error))
            self._problem = str(error)
            return
        self._problem = ""
        if found != self._current:
            log.info("settings_changed", now=msgspec.to_builtins(_changed(self._current, found)))
            self._current = found
            for listener in self._listeners:
                listener(found)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[LiveSettings]:
        """Look again and again, as long as the context lasts."""
        await self.look()
        async with background(self._follow(), "live settings"):
            yield self

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()


class _Row(msgspec.Struct, frozen=True):
    name: str
    value: Any
    changed_us: int
    user: str


def _names(settings: EdrSettings) -> list[str]:
    return [
        f"{section}.{field}"
        for section in SECTIONS
        for field in getattr(settings, section).__struct_fields__
    ]


def _value(settings: EdrSettings, name: str) -> Any:
    section, _, field = name.partition(".")
    return getattr(getattr(settings, section), field)


def _rows(connection: Connection) -> dict[str, _Row]:
    found = connection.execute(select(table)).all()
    return {
        row.name: _Row(row.name, msgspec.json.decode(row.value), row.changed_us, row.user)
        for row in found
    }


def _put(connection: Connection, row: _Row, *, new: bool) -> None:
    values = {
        "value": msgspec.json.encode(row.value).decode(),
        "changed_us": row.changed_us,
        "user": row.user[:128],
    }
    if new:
        connection.execute(insert(table).values(name=row.name, **values))
    else:
        connection.execute(update(table).where(table.c.name == row.name).values(**values))


def _converted(settings: EdrSettings, name: str, value: Any) -> Any:
    """Return a value as the kind that its setting needs; raises SettingsError."""
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        raise SettingsError(f"{name}: the value is longer than {_LONGEST_VALUE} characters")
    section, _, field = name.partition(".")
    kind = next(
        one.type for one in msgspec.structs.fields(getattr(settings, section)) if one.name == field
    )
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {error}") from error


def _merged(file: EdrSettings, rows: Mapping[str, _Row]) -> EdrSettings:
    """Return the file's settings with changes, checked. Changes of other releases are left out."""
    known = set(_names(file))
    sections = {}
    for section in SECTIONS:
        part = getattr(file, section)
        changed = {
            name.partition(".")[2]: _converted(file, name, row.value)
            for name, row in rows.items()
            if name in known and name.startswith(f"{section}.")
        }
        sections[section] = msgspec.structs.replace(part, **changed)
    return edr_settings.check(msgspec.structs.replace(file, **sections))


def _changed(before: EdrSettings, after: EdrSettings) -> dict[str, Any]:
    return {
        name: _value(after, name)
        for name in _names(after)
        if _value(after, name) != _value(before, name)
    }
