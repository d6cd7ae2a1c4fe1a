"""The ``kata/edr`` connector's entry in the registry, and its way to the collector's journal."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from deodar.kit.directory import StateDirectory
from deodar.kit.logging import logger
from deodar.siem.collector.record import source_key
from deodar.siem.connectors.base import Connector, Handover, Kind
from deodar.siem.connectors.framing import KATA
from deodar.siem.connectors.gaps import Gaps
from deodar.siem.connectors.kata_edr_driver import Driver
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.connectors.kata_edr_trust import server_contexts
from deodar.siem.errors import ConnectorError
from deodar.tls.certificates import fingerprint, load_pair

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink
    from deodar.siem.connectors.kata_edr import Deliver, KeepAside
    from deodar.siem.connectors.status import ServerState, Status
    from deodar.tls.certificates import Pair

LAST_ANSWER = "last-answer"
_NOTED_EVERY = 60.0
_log = logger("siem.connector")


class KataSink:
    """The driver's sink: the state of the stream is the continuation token.

    When the last answer came is kept in a file by its time, roughly, so that a gap is noticed over
    a restart too.
    """

    def __init__(self, sink: Sink, home: Path) -> None:
        self._sink = sink
        self._file = home / LAST_ANSWER
        last = 0.0
        with contextlib.suppress(OSError):
            last = self._file.stat().st_mtime
        self._gaps = Gaps(last)
        self._noted = 0.0

    async def deliver(self, command: Deliver, body: bytes) -> None:
        """Put body and token into the journal; returns when they are durable."""
        await self._sink.put(
            Handover(
                body,
                KATA,
                command.url,
                command.token_before,
                command.token_after,
                command.has_events,
            )
        )

    async def keep_aside(self, command: KeepAside, body: bytes) -> None:
        """Keep a body that cannot be used among the dead letters."""
        await self._sink.keep_aside(command.url, command.reason, body, KATA)

    def changed(self, status: Status) -> None:
        """Pass the status on."""
        self._sink.changed(status)

    def count(self, what: str, number: int = 1) -> None:
        """Pass a count on."""
        self._sink.count(what, number)

    async def answered(self, url: str, *, resumed: bool) -> None:
        """Note an answer that was taken; tells of a gap before it."""
        now = time.time()
        await self._gap(url, self._gaps.answered(now, resumed=resumed))
        if abs(now - self._noted) >= _NOTED_EVERY:
            self._noted = now
            with contextlib.suppress(OSError):  # then a gap may go unnoticed after a restart
                self._file.touch(0o600)

    async def token_lost(self, url: str) -> None:
        """Note that the server no longer knows the token; tells of the gap once."""
        await self._gap(url, self._gaps.token_lost(time.time()))

    async def _gap(self, url: str, text: str) -> None:
        if text:
            self._sink.count("gaps")
            _log.error("events may be missing", url=url, reason=text)
            await self._sink.keep_aside(url, text, b"")


class KataEdrConnector(Connector):
    """The driver behind the face that all connectors have."""

    def __init__(self, settings: KataEdrSettings, home: Path, sink: Sink) -> None:
        contexts = server_contexts(settings, _pair(settings, home), StateDirectory(home))
        self._driver = Driver(settings, contexts, KataSink(sink, home))

    async def run(self, state: str | None) -> None:
        """Fetch from a continuation token on; None is an initial request."""
        await self._driver.run(state)

    def begin_anew(self) -> None:
        """Drop the token; an initial request follows."""
        self._driver.begin_anew()

    def servers(self) -> tuple[ServerState, ...]:
        """Return each server with its own errors."""
        return self._driver.servers

    async def check(self) -> str:
        """Say that it cannot: each request of an external system is one for authorization."""
        raise ConnectorError("kata/edr: only a run shows whether the EDR server answers")


def _pair(settings: KataEdrSettings, home: Path) -> Pair:
    return load_pair(StateDirectory(home).read(settings.secret))


def _identity(settings: KataEdrSettings, home: Path) -> str:
    return source_key(settings, fingerprint(_pair(settings, home).certificate))


def _facts(settings: KataEdrSettings, home: Path) -> Mapping[str, str]:
    return {
        "edr_server": ", ".join(settings.servers()),
        "external_id": settings.external_id,
        "certificate_sha256": fingerprint(StateDirectory(home).read(settings.secret)),
    }


KIND = Kind(
    "kata/edr",
    "telemetry of an EDR server over the events API of KATA",
    KataEdrSettings,
    KataEdrConnector,
    _identity,
    _facts,
    normalizer="kedr",
)
