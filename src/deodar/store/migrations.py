"""Numbered changes of the tables, applied at start, each once.

A ledger table remembers which migrations of which component were applied, and the SHA-256 of their
statements: text that was applied is history and must not change. Statements that destroy data are
refused unless the migration says that it means to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deodar.store.errors import MigrationError, QueryError
from deodar.store.lexer import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.store.engine import Engine

LEDGER: Final = "deodar_migrations"

_LEDGER_TABLE: Final = f"""
CREATE TABLE IF NOT EXISTS {LEDGER} (
    component String,
    number UInt32,
    name String,
    checksum String,
    applied DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = MergeTree ORDER BY (component, number)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
# Words in this order, not necessarily side by side, destroy data.
_DESTROYING: Final = (
    ("DROP",),
    ("TRUNCATE",),
    ("DELETE",),
    ("DETACH",),
    ("ALTER", "CLEAR"),
    ("ALTER", "REPLACE", "PARTITION"),
    ("REPLACE", "TABLE"),
    ("EXCHANGE",),
)


@dataclass(frozen=True)
class Migration:
    """One step of a component's schema.

    Statements run in order, each by itself; ClickHouse has no transactions over them, so each must
    be repeatable (IF NOT EXISTS): after a crash in the middle the whole migration runs again.
    """

    number: int
    name: str
    statements: Sequence[str]
    destroys: bool = False

    @property
    def checksum(self) -> str:
        """SHA-256 over the statements, in hexadecimal."""
        return hashlib.sha256("\0".join(self.statements).encode()).hexdigest()


def migrate(engine: Engine, component: str, migrations: Sequence[Migration]) -> list[int]:
    """Bring a component's tables up to date; return the numbers that were applied now.

    Raises MigrationError when the numbers are not 1, 2, 3 …, when a statement would destroy data
    without saying so, when an applied migration's text has changed, when the store has one that is
    newer than this program, and when a statement fails (the text says which).
    """
    _check(component, migrations)
    engine.command(_LEDGER_TABLE)
    applied = _applied(engine, component)
    _compare(component, migrations, applied)
    pending = [migration for migration in migrations if migration.number not in applied]
    for migration in pending:
        _apply(engine, component, migration)
    return [migration.number for migration in pending]


def _check(component: str, migrations: Sequence[Migration]) -> None:
    numbers = [migration.number for migration in migrations]
    if numbers != list(range(1, len(numbers) + 1)):
        raise MigrationError(f"{component}: migrations must be numbered 1, 2, 3 …, not {numbers}")
    for migration in migrations:
        found = next(filter(_destroys, migration.statements), None)
        if found is not None and not migration.destroys:
            raise MigrationError(
                f"{_title(component, migration)} would destroy data with "
                f"«{found.strip()[:80]}»; mark it with destroys=True if it means to"
            )


def _destroys(statement: str) -> bool:
    words = [token.keyword for token in tokens(statement)]
    return any(_in_order(pattern, words) for pattern in _DESTROYING)


def _in_order(pattern: tuple[str, ...], words: list[str]) -> bool:
    rest = iter(words)
    return all(any(word == wanted for word in rest) for wanted in pattern)


def _applied(engine: Engine, component: str) -> dict[int, str]:
    rows = engine.query(
        f"SELECT number, checksum FROM {LEDGER} WHERE component = {{component:String}}",  # noqa: S608
        {"component": component},
    )
    return dict(zip(rows["number"].to_pylist(), rows["checksum"].to_pylist(), strict=True))


def _compare(component: str, migrations: Sequence[Migration], applied: dict[int, str]) -> None:
    newer = sorted(applied.keys() - {migration.number for migration in migrations})
    if newer:
        raise MigrationError(
            f"the store has migration {newer[-1]} of {component}, which this program does not "
            "know; run a newer version of Deodar"
        )
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"{_title(component, migration)} was applied with another text; "
                "undo the change and add a new migration"
            )


def _apply(engine: Engine, component: str, migration: Migration) -> None:
    for position, statement in enumerate(migration.statements, 1):
        try:
            engine.command(statement)
        except QueryError as error:
            raise MigrationError(
                f"{_title(component, migration)}, statement {position}: {error}"
            ) from error
    engine.command(
        f"INSERT INTO {LEDGER} (component, number, name, checksum) "
        "SELECT {component:String}, {number:UInt32}, {name:String}, {checksum:String}",
        {
            "component": component,
            "number": migration.number,
            "name": migration.name,
            "checksum": migration.checksum,
        },
    )


def _title(component: str, migration: Migration) -> str:
    return f"migration {migration.number} ({migration.name}) of {component}"
