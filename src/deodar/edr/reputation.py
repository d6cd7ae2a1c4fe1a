"""Reputation of files by hash, from local lists and imported feeds, for agents to ask.

An entry is a hash (MD5 or SHA-256), the list that it is from, a verdict, and perhaps an end. Of
several lists that know a file the worst verdict counts: untrusted, then trusted. A look-up is one
step in the index of the table's key, however long the lists are.
"""

from __future__ import annotations

import itertools
import re
import tempfile
import time
from typing import IO, TYPE_CHECKING, Any

import msgspec
from sqlalchemy import case, delete, func, insert, or_, select

from deodar.edr.database import now_us, record
from deodar.edr.errors import FeedProblem, NotKnown
from deodar.edr.tables_response import reputation as table
from deodar.kit import hash_lists
from deodar.kit.hash_lists import VERDICTS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.sql.elements import ColumnElement

    from deodar.edr.database import Database

UNKNOWN = "unknown"
LOCAL = "local"
MOST = 50_000_000
"""Entries of all lists together."""
_SOURCE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_BATCH = 500
"""Hashes in one statement; SQLite had a limit of 999 once."""
_BATCHES = 10
"""Statements in one transaction."""
_TURN = 0.02
"""Seconds between two transactions, for others who wait to write."""


class Entry(msgspec.Struct, frozen=True):
    """What one list says of one file; `expires_us` is 0 for never."""

    hash: str
    verdict: Verdict
    source: str
    expires_us: int = 0
    note: str = ""
    added_us: int = 0


class Feed(msgspec.Struct, frozen=True):
    """One list, with how many entries it has of each verdict."""

    source: str
    untrusted: int
    trusted: int
    expired: int
    added_us: int
    """When the newest entry came."""


class Reputation:
    """The lists of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look_up(self, hashes: Sequence[str]) -> dict[str, Entry]:
        """Return what is known of these hashes; those that no list knows are missing."""
        wanted = sorted({text.lower() for text in hashes})
        best: dict[str, Entry] = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), _BATCH):
                for entry in _entries(connection, wanted[start : start + _BATCH]):
                    known = best.get(entry.hash)
                    if known is None or _rank(entry) < _rank(known):
                        best[entry.hash] = entry
        return best

    def add(self, entry: Entry) -> Entry:
        """Put one file on a list, in place of what the list said before; returns the entry.

        Raises FeedProblem.
        """
        self.load(entry.source, [entry])
        return self.find(entry.hash, entry.source)

    def load(self, source: str, entries: Iterable[Entry], *, replace: bool = False) -> int:
        """Put files on a list, all or none; returns how many. Raises FeedProblem.

        With `replace` nothing else stays on that list. All entries are checked before the first is
        written. They are written in many short transactions, since nobody else can write
        meanwhile; a look-up in between finds some of the new beside the old.
        """
        check_source(source)
        began = now_us()
        with tempfile.TemporaryFile() as checked:
            count = _check_all(entries, checked)
            self._check_room(count)
            checked.seek(0)
            for batches in _chunks(checked):
                with self._database.write() as connection:
                    for batch in batches:
                        _put(connection, source, batch)
                time.sleep(_TURN)
        if replace:
            self._remove((table.c.source == source) & (table.c.added_us < began))
        with self._database.write() as connection:
            action = "reputation replace" if replace else "reputation add"
            record(connection, action, source, f"{count} entries")
        return count

    def find(self, text: str, source: str) -> Entry:
        """Return what a list says of a hash; raises NotKnown, FeedProblem."""
        query = select(table).where(table.c.hash == checked_hash(text), table.c.source == source)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotKnown(f"the list '{source[:64]}' does not know {text}")
        return Entry(**row._mapping)

    def entries(self, source: str = "", after: str = "", limit: int = 100) -> list[Entry]:
        """Return entries in the order of their hashes, behind one, of one list or of all."""
        query = select(table).order_by(table.c.hash, table.c.source).limit(limit)
        if source:
            query = query.where(table.c.source == source)
        if after:
            query = query.where(table.c.hash > after.lower())
        with self._database.read() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query).all()]

    def feeds(self) -> list[Feed]:
        """Return the lists."""
        now = now_us()
        expired = (table.c.expires_us > 0) & (table.c.expires_us <= now)
        query = (
            select(
                table.c.source,
                func.sum(_one_if(table.c.verdict == "untrusted")),
                func.sum(_one_if(table.c.verdict == "trusted")),
                func.sum(_one_if(expired)),
                func.max(table.c.added_us),
            )
            .group_by(table.c.source)
            .order_by(table.c.source)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Feed(row[0], *(int(value or 0) for value in row[1:])) for row in rows]

    def remove(self, source: str, text: str = "") -> int:
        """Take a hash off a list, or delete the list; returns how many entries that were.

        Raises NotKnown, FeedProblem.
        """
        wanted = table.c.source == source
        if text:
            wanted &= table.c.hash == checked_hash(text)
        count = self._remove(wanted)
        if not count:
            raise NotKnown(
                f"the list '{source[:64]}' does not know {text or 'anything'}; "
                "see: deodar edr reputation list"
            )
        with self._database.write() as connection:
            record(connection, "reputation remove", source, text or f"{count} entries")
        return count

    def forget(self) -> int:
        """Delete what has expired; returns how many."""
        return self._remove((table.c.expires_us > 0) & (table.c.expires_us <= now_us()))

    def _check_room(self, count: int) -> None:
        with self._database.read() as connection:
            present = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if int(present) + count > MOST:
            raise FeedProblem(f"all lists together would have more than {MOST} entries")

    def _remove(self, wanted: ColumnElement[bool]) -> int:
        """Delete entries in short transactions; returns how many."""
        count = 0
        key = select(table.c.hash, table.c.source).where(wanted).limit(_BATCH)
        while True:
            with self._database.read() as connection:
                found = [(row.hash, row.source) for row in connection.execute(key).all()]
            if not found:
                return count
            with self._database.write() as connection:
                for source in {source for _, source in found}:
                    hashes = [text for text, of in found if of == source]
                    same = (table.c.source == source) & table.c.hash.in_(hashes)
                    count += connection.execute(delete(table).where(same)).rowcount


def checked_hash(text: str) -> str:
    """Return a hash in lower case; raises FeedProblem when it is neither MD5 nor SHA-256."""
    try:
        return hash_lists.checked_hash(text)
    except ValueError as error:
        raise FeedProblem(str(error)) from error


def check_source(source: str) -> None:
    """Raise FeedProblem when a text cannot be the name of a list."""
    if not _SOURCE.fullmatch(source):
        raise FeedProblem(
            f"'{source[:64]}' is no name for a list: letters, digits, '.', '_' and '-', at most 64"
        )


def _entries(connection: Connection, hashes: Sequence[str]) -> list[Entry]:
    good = or_(table.c.expires_us == 0, table.c.expires_us > now_us())
    query = select(table).where(table.c.hash.in_(hashes), good)
    return [Entry(**row._mapping) for row in connection.execute(query).all()]


def _rank(entry: Entry) -> int:
    return VERDICTS.index(entry.verdict)


def _check_all(entries: Iterable[Entry], checked: IO[bytes]) -> int:
    """Write entries that are good into a file, a line each; returns how many."""
    count = 0
    for entry in entries:
        good = msgspec.structs.replace(entry, hash=checked_hash(entry.hash))
        _keep(checked, msgspec.json.encode(good) + b"\n")
        count += 1
    return count


def _keep(checked: IO[bytes], line: bytes) -> None:
    try:
        checked.write(line)
    except OSError as error:
        raise FeedProblem(f"there is no room to check the list in: {error.strerror}") from error


def _chunks(checked: IO[bytes]) -> Iterator[list[dict[str, Entry]]]:
    """Yield the entries of such a file: batches for one statement, several for a transaction."""
    decoder = msgspec.json.Decoder(Entry)
    while lines := list(itertools.islice(checked, _BATCH * _BATCHES)):
        read = [decoder.decode(line) for line in lines]
        starts = range(0, len(read), _BATCH)
        yield [{one.hash: one for one in read[start : start + _BATCH]} for start in starts]


def _put(connection: Connection, source: str, entries: dict[str, Entry]) -> None:
    now = now_us()
    same = (table.c.source == source) & table.c.hash.in_(list(entries))
    connection.execute(delete(table).where(same))
    rows: list[dict[str, Any]] = [
        {
            "hash": text,
            "source": source,
            "verdict": entry.verdict,
            "expires_us": entry.expires_us,
            "note": entry.note.replace("\0", "")[:256],
            "added_us": now,
        }
        for text, entry in entries.items()
    ]
    connection.execute(insert(table), rows)


def _one_if(condition: Any) -> Any:
    return case((condition, 1), else_=0)
