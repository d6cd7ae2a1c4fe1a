"""The ``kata/edr`` connector's entry in the registry, and its way to the collector's journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.kit.directory import StateDirectory
from deodar.siem.collector.record import source_key
from deodar.siem.connectors.base import Connector, Handover, Kind
from deodar.siem.connectors.framing import KATA
from deodar.siem.connectors.kata_edr_driver import Driver, server_context
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
from deodar.siem.errors import ConnectorError
from deodar.tls.certificates import fingerprint, load_pair

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink
    from deodar.siem.connectors.kata_edr import Deliver, KeepAside
    from deodar.siem.connectors.status import Status
    from deodar.tls.certificates import Pair


class KataSink:
    """The driver's sink: the state of the stream is the continuation token."""

    def __init__(self, sink: Sink, encoding: str = "") -> None:
        self._sink = sink
        self._encoding = encoding

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
                self._encoding,
            )
        )

    async def keep_aside(self, command: KeepAside, body: bytes) -> None:
        """Keep a body that cannot be used among the dead letters."""
        await self._sink.keep_aside(command.url, command.reason, body)

    def changed(self, status: Status) -> None:
        """Pass the status on."""
        self._sink.changed(status)


class KataEdrConnector(Connector):
    """The driver behind the face that all connectors have."""

    def __init__(self, settings: KataEdrSettings, home: Path, sink: Sink) -> None:
        context = server_context(settings, _pair(settings, home), home)
        self._driver = Driver(settings, context, KataSink(sink, settings.character_encoding))

    async def run(self, state: str | None) -> None:
        """Fetch from a continuation token on; None is an initial request."""
        await self._driver.run(state)

    def begin_anew(self) -> None:
        """Drop the token; an initial request follows."""
        self._driver.begin_anew()

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
