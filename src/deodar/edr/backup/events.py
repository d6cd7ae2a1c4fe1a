"""The event log in a backup: its rows in their order, as Arrow streams of bounded size.

They come from the running server over its local socket, or from the store itself when none runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa

from deodar.edr.errors import BackupError
from deodar.edr.log.lineage import begin_epoch, restore_epochs
from deodar.edr.log.schema import TABLE, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.edr.local import LocalServer
    from deodar.edr.log.reader import Reader
    from deodar.store.engine import Engine

EPOCHS: Final = "epochs"


class Source(Protocol):
    """Where the rows of the log come from."""

    def epochs(self) -> bytes:
        """Return the log's epochs, as an Arrow stream."""

    def rows(self, after: int, upto: int) -> bytes:
        """Return some rows above `after`, none above `upto`, as an Arrow stream.

        It has rows as long as there are any.
        """

    def next_after(self, after: int) -> int:
        """Return the number behind which the next event is that follows a number."""


class StoreSource:
    """The store, opened here."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def epochs(self) -> bytes:
        """Return the log's epochs."""
        return pack(self._reader.epochs())

    def rows(self, after: int, upto: int) -> bytes:
        """Return some rows."""
        return pack(self._reader.rows(after, upto))

    def next_after(self, after: int) -> int:
        """Return the number behind which the next event is."""
        return self._reader.next_after(after)


class ServerSource:
    """The running server."""

    def __init__(self, server: LocalServer) -> None:
        self._server = server

    def epochs(self) -> bytes:
        """Return the log's epochs."""
        return self._server.get("/log/epochs")

    def rows(self, after: int, upto: int) -> bytes:
        """Return some rows."""
        return self._server.get(f"/log/rows?after={after}&upto={upto}")

    def next_after(self, after: int) -> int:
        """Return the number behind which the next event is."""
        return int(self._server.get(f"/log/next?after={after}"))


def dump(source: Source, upto: int) -> Iterator[tuple[str, bytes, int]]:
    """Yield names and contents of files with the log up to a number, and how many rows they have.

    Raises BackupError when retention drops what was to be read next.
    """
    yield EPOCHS, source.epochs(), 0
    after, seen = 0, False
    while after < upto:
        data = source.rows(after, upto)
        seqs = unpack(data).column("seq")
        if not len(seqs):
            break
        first, last = int(seqs[0].as_py()), int(seqs[-1].as_py())
        if seen and first not in (after + 1, source.next_after(after) + 1):
            raise BackupError(
                f"retention dropped events {after + 1} to {first - 1} while the backup was made; "
                "make it again"
            )
        yield f"{first:020}", data, len(seqs)
        after, seen = last, True


def load(engine: Engine, last_seq: int, pieces: Iterable[tuple[str, bytes]]) -> int:
    """Fill an empty store with a backup's log and begin a new epoch behind it.

    Returns the number of events. Raises BackupError when the store has events already or the rows
    are not those that the backup tells of, StoreError when it refuses them.
    """
    prepare(engine)
    if engine.query(f"SELECT count() FROM {TABLE}").column(0)[0].as_py():  # noqa: S608
        raise BackupError("the store has events already; restore into an empty one")
    count, last = 0, 0
    for name, data in pieces:
        rows = unpack(data)
        if name == EPOCHS:
            restore_epochs(engine, rows)
            continue
        engine.insert(TABLE, rows, deduplication_token=f"restore {name}")
        count += rows.num_rows
        last = int(rows.column("seq")[-1].as_py())
    if count and last != last_seq:
        raise BackupError(f"the backup ends at event {last} in place of {last_seq}")
    begin_epoch(engine, last_seq)
    return count


def pack(rows: pa.Table) -> bytes:
    """Return rows as an Arrow stream, compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def unpack(data: bytes) -> pa.Table:
    """Return the rows of an Arrow stream; raises BackupError when it is damaged."""
    try:
        return pa.ipc.open_stream(data).read_all()
    except pa.ArrowException as error:
        raise BackupError(f"events in the backup are damaged: {error}") from error
