"""What a destination is: settings, and a way to deliver a batch.

A destination takes whole batches and raises one of two errors: DestinationUnavailable when the
batch must be tried again, under the same id, and DestinationRefused when that is useless. It never
waits without a limit, and holds nothing that is not delivered: the collector's journal is its
buffer.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.destinations.selection import check_filter
from deodar.siem.errors import DestinationRefused
from deodar.siem.pipeline.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from deodar.columnar.dead_letters import DeadLetter

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
STORAGE = "storage"

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class CommonSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every destination has. `filter` is a condition on events, empty for all of them.

    `buffer_bytes` bounds what it may hold of the collector's journal (0: half of the journal),
    `buffer_seconds` how old what it holds may be (0: any age); beyond, the oldest is given up for
    this destination alone. `timeout` is for each step: connecting, writing, an answer.
    """

    name: str
    kind: str
    enabled: bool = True
    filter: str = ""
    buffer_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    buffer_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    timeout: Seconds = 30.0

    def problem(self) -> str:
        """Return "key: what is wrong", or "" when the settings fit together."""
        if not NAME.fullmatch(self.name) or self.name == STORAGE:
            return (
                f"name: {self.name!r} cannot name a destination: up to 64 letters, digits, _ and "
                f"-, and not {STORAGE!r}, which is the SIEM's own"
            )
        try:
            check_filter(self.filter)
        except FilterError as error:
            return f"filter: {error}"
        return ""


@dataclass(frozen=True)
class Batch:
    """Normalized events under an id that is the same on every try."""

    id: str
    events: pa.RecordBatch

    @property
    def rows(self) -> int:
        """How many events are in it."""
        return int(self.events.num_rows)


class Destination(ABC):
    """An open destination; one call at a time. Cancelling a call leaves it usable."""

    @abstractmethod
    async def deliver(self, batch: Batch) -> int:
        """Deliver all events and return the bytes that this took.

        Raises DestinationUnavailable or DestinationRefused.
        """

    @abstractmethod
    async def check(self) -> str:
        """Return a line that tells what was reached, without delivering events.

        Raises DestinationError.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and files."""


@dataclass(frozen=True)
class Kind:
    """An entry of the registry: what `kind` names in a settings file.

    `open` makes a destination of its settings and the collector's folder, where relative names of
    files are; it raises SettingsError, StateError or TlsError, and connects to nothing yet.
    """

    name: str
    summary: str
    settings: type[CommonSettings]
    open: Callable[[Any, Path], Destination]


class Progress:
    """What became of the parts of the batch in hand, so that a new try goes on behind them."""

    def __init__(self) -> None:
        self._id, self.parts = "", 0
        self._bytes, self._refused, self._reason = 0, 0, ""
        self._letters: list[DeadLetter] = []

    def is_new(self, batch_id: str) -> bool:
        """Whether this is another batch than the one in hand."""
        return batch_id != self._id

    def begin(self, batch_id: str) -> None:
        """Begin a batch, or go on with it."""
        if batch_id != self._id:
            self._id, self.parts = batch_id, 0
            self._bytes, self._refused, self._reason = 0, 0, ""
            self._letters = []

    def delivered(self, size: int) -> None:
        """Note that the next part is delivered, in so many bytes."""
        self.parts += 1
        self._bytes += size

    def refused(self, rows: int, reason: str) -> None:
        """Note that the next part is refused for good."""
        self.parts += 1
        self._refused += rows
        self._reason = reason

    def partly(self, size: int, letters: Sequence[DeadLetter]) -> None:
        """Note that the next part is delivered but for some of its events."""
        self.delivered(size)
        self._refused += len(letters)
        self._letters += letters
        self._reason = letters[0].reason if letters else self._reason

    def result(self) -> int:
        """Return the bytes delivered; raises DestinationRefused if a part was refused."""
        if self._refused:
            # Events of parts that were refused whole are known by their answer only.
            whole = self._refused == len(self._letters)
            raise DestinationRefused(self._reason, self._refused, self._letters if whole else ())
        return self._bytes


def read_file(home: Path, name: str) -> bytes:
    """Return the content of a file that settings name; raises SettingsError."""
    try:
        return (home / name).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {home / name}: {error.strerror}") from error


def read_secret(home: Path, name: str) -> str:
    """Return the secret in a file that settings name; raises SettingsError."""
    if not (secret := _words(home, name)):
        raise SettingsError(f"{home / name} is empty")
    return secret


def bearer(home: Path, name: str) -> str:
    """Return the header `authorization` with the token in a file; raises SettingsError."""
    token = _words(home, name)
    if not token or not token.isascii() or not token.isprintable():
        raise SettingsError(f"{home / name} holds no token")
    return f"Bearer {token}"


def _words(home: Path, name: str) -> str:
    return read_file(home, name).decode("utf-8", "replace").strip()
