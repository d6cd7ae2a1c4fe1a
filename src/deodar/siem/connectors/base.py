"""What a connector is: settings, and a way to hand events over to the collector.

A connector takes bytes from a source and hands them over together with its state: the text from
which it goes on behind them. `Sink.put` returns when both are durable in the journal; only then is
a sender told that its events are taken, or a position moved at the source. What a body means is
for the framing that is named with it, and for the normalizer.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.connectors.encoding import known_encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deodar.kit.serve import Endpoint
    from deodar.siem.connectors.status import ServerState, Status

LONGEST_EVENT = 4 << 20
"""Bytes of the longest event that a collector takes, as in KUMA."""

_NAME = re.compile(r"[^\t\r\n]{0,128}")
_TAG = re.compile(r"[^\t\r\n]{0,127}[^\s]")
MOST_TAGS = 64

EventBytes = Annotated[int, msgspec.Meta(ge=64, le=LONGEST_EVENT)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class ConnectorSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What every connector has. `name`, `tags` and `description` are for people. `debug` logs each
    step. `character_encoding` is that of the source, such as cp1251, converted to UTF-8; empty for
    no conversion.
    """  # noqa: D205

    name: str = ""
    tags: list[str] = []
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    debug: bool = False
    character_encoding: str = ""

    @property
    def kind(self) -> str:
        """The connector's kind, as in the settings file."""
        return str(self.__struct_config__.tag)

    @property
    def largest_record(self) -> int:
        """Bytes of the largest body that it hands over; the journal must hold four of them."""
        return 8 << 20

    def since(self, now_us: int) -> int:
        """Return the time, µs since the epoch, before which events are not wanted; 0 for none.

        `now_us` is when the stream begins.
        """
        return 0

    def problem(self) -> str:
        """Return "key: what is wrong", or "" when the settings fit together."""
        if not _NAME.fullmatch(self.name):
            return "name: at most 128 characters, in one line"
        if len(self.tags) > MOST_TAGS or not all(map(_TAG.fullmatch, self.tags)):
            return f"tags: at most {MOST_TAGS}, each of 1 to 128 characters in one line"
        try:
            known_encoding(self.character_encoding)
        except SettingsError as error:
            return f"character_encoding: {error}"
        return ""


@dataclass(frozen=True)
class Handover:
    """What is handed over at once: a body, and the state before and behind it.

    `framing` says how the body is divided into events (`deodar.siem.collector.framing`), `origin`
    where it is from, `encoding` what its text is to be converted from. A connector without a state
    leaves both None.
    """

    body: bytes
    framing: str
    origin: str
    before: str | None = None
    after: str | None = None
    has_events: bool = True
    encoding: str = ""


class Sink(Protocol):
    """Where a connector's bytes go."""

    @property
    def hindrance(self) -> str:
        """Why `put` does not return now, such as a full journal; "" when nothing is known."""

    async def put(self, handover: Handover) -> None:
        """Make body and state durable; returns when they are, however long that takes."""

    async def keep_aside(self, origin: str, reason: str, body: bytes, framing: str = "") -> None:
        """Keep bytes that cannot be used among the dead letters.

        `framing` names how they may be divided into events all the same. Without a byte it is the
        reason alone that is kept.
        """

    def changed(self, status: Status) -> None:
        """Take note of the connector's status."""

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count that the collector's status and metrics show."""


class Connector(ABC):
    """An open connector."""

    @abstractmethod
    async def run(self, state: str | None) -> None:
        """Take events from `state` on (None: from the beginning) until cancelled."""

    @abstractmethod
    def begin_anew(self) -> None:
        """Go on without a state: what runs is given up."""

    def endpoints(self) -> list[Endpoint]:
        """Return what the collector is to serve for it over HTTP."""
        return []

    def servers(self) -> tuple[ServerState, ...]:
        """Return the servers that it asks, each with its own errors; () when it asks none."""
        return ()

    @abstractmethod
    async def check(self) -> str:
        """Return a line that tells what was reached, without taking events.

        Raises DeodarError.
        """


@dataclass(frozen=True)
class Kind:
    """An entry of the registry: what `connector.kind` names in a settings file.

    `open` makes a connector of its settings, the collector's folder and a sink; it raises
    SettingsError, StateError or TlsError and connects to nothing yet. `identity` names the stream
    that a state belongs to; with another one a kept state is not used. `facts` are what an
    administrator sees of it, by a key for programs.
    """

    name: str
    summary: str
    settings: type[ConnectorSettings]
    open: Callable[[Any, Path, Sink], Connector]
    identity: Callable[[Any, Path], str]
    facts: Callable[[Any, Path], Mapping[str, str]]
    normalizer: str = "raw"
    has_state: bool = True
