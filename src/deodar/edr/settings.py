"""Settings of the EDR server: the file ``edr.toml`` in its folder.

The limits of the events API have no published defaults; these are ours. An external system that
sends no ``max_events`` or ``max_timeout`` gets the values of this file.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from deodar.edr import durations
from deodar.edr.errors import DurationError
from deodar.kit.errors import SettingsError

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
MOST_GROUP_EVENTS = 1_000_000
MB = 1 << 20


class EventsApi(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What external systems get when they ask for nothing, and the most that they may ask for."""

    max_events: Count = 10_000
    fetch_timeout: Seconds = 5.0
    max_fetch_timeout: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 300.0
    window: Annotated[float, msgspec.Meta(ge=1, le=31 * 86_400)] = 7200.0
    # "all", "none", or an ISO 8601 duration: how much history an initial request gets
    history: str = "all"
    content_type: Literal["application/json", "application/octet-stream"] = "application/json"
    max_response_bytes: Annotated[int, msgspec.Meta(ge=64 << 10, le=256 * MB)] = 32 * MB
    max_filter_length: Annotated[int, msgspec.Meta(ge=16, le=65_536)] = 8192
    # Of each external system, by each server: requests a second (0 for no limit), and open ones.
    rate: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = 50.0
    requests_at_once: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 16


class ExternalSystems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How external systems are recognised, and how many may wait to be accepted."""

    # false: an accepted pair of id and certificate is let in from any address
    pin_address: bool = True
    # false: they may read events and alerts and have files scanned, but not use the response API
    may_respond: bool = True
    max_pending: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    max_pending_per_address: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 16


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How endpoints are looked after."""

    # An endpoint that was not heard for so many of its synchronization periods is offline.
    offline_periods: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    # How long agents' certificates are good. They renew them when a third of that is left.
    certificate_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 365


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """NATS JetStream between servers that share one event log; without `urls` a server is alone."""

    # nats://host:4222 or tls://host:4222 of each NATS server; user:password@ where they want one.
    urls: tuple[str, ...] = ()
    # Begins the names of the stream and its subjects.
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "deodar"
    # How many NATS servers keep each packet. With 3, one of them may be lost.
    replicas: Literal[1, 3, 5] = 3
    # What may wait in the stream for the writer; packets are refused (507) while it is full.
    max_bytes: Annotated[int, msgspec.Meta(ge=MB)] = 4096 * MB
    # Seconds until an agent whose packet the stream did not take is told to repeat it.
    timeout: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 5.0
    # Of tls://, paths seen from the server's folder: the authority of the NATS servers, if the
    # system does not know it; and, if they want one, a certificate with its key in one PEM file.
    ca: str = ""
    certificate: str = ""


class Ingest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of what agents send, and of what waits for the log."""

    max_packet_bytes: Annotated[int, msgspec.Meta(ge=1024, le=256 * MB)] = 16 * MB
    max_packet_wire_bytes: Annotated[int, msgspec.Meta(ge=1024, le=256 * MB)] = 16 * MB
    max_packet_events: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    body_timeout: Annotated[float, msgspec.Meta(ge=0.1, le=600)] = 30.0
    queue_bytes: Annotated[int, msgspec.Meta(ge=1024, le=4096 * MB)] = 128 * MB
    queue_events: Annotated[int, msgspec.Meta(ge=1)] = 200_000
    # A block for the store: the most events and bytes; so many events that it is written at once;
    # and how long it is waited for more when there are fewer.
    group_events: Annotated[int, msgspec.Meta(ge=1, le=MOST_GROUP_EVENTS)] = 20_000
    group_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1024 * MB)] = 64 * MB
    group_enough: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 2000
    group_delay: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.25
    # Packets that are read and decoded at a time. Those above `large_body` bytes on the wire, or
    # of unknown length, are counted by themselves: each may take 16 MB and more.
    large_body: Annotated[int, msgspec.Meta(ge=1024, le=256 * MB)] = MB // 4
    large_bodies: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 4
    small_bodies: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 128
    # Of the disks of the server's folder and its embedded store: with less free than that, packets
    # are refused (507), so that reading and administration go on. 0 is no reserve.
    free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 512 * MB
    dead_letter_bytes: Annotated[int, msgspec.Meta(ge=64 << 10)] = 1024 * MB
    stream: Stream = Stream()


class Tasking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long agents may wait for orders, and what is kept of what they send."""

    # Seconds after which a waiting agent gets an empty answer and asks again.
    wait: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 120.0
    # Days that ended tasks, and the files that they fetched, are kept.
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 90
    max_file_bytes: Annotated[int, msgspec.Meta(ge=1024, le=256 * MB)] = 256 * MB
    # All fetched files together; when they fill it, no more is taken until some are deleted.
    files_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 10_240 * MB


class Sessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a user's session ends, in seconds: without use, and in any case."""

    idle: Annotated[float, msgspec.Meta(ge=60, le=86_400)] = 1800.0
    longest: Annotated[float, msgspec.Meta(ge=60, le=31 * 86_400)] = 43_200.0


class Scanning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What external systems may have scanned by YARA rules."""

    max_file_bytes: Annotated[int, msgspec.Meta(ge=1024, le=256 * MB)] = 100 * MB
    # Of one file, in seconds.
    time_limit: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    # All files together that wait to be scanned.
    waiting_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 2048 * MB


class EdrSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    host: str = "0.0.0.0"  # noqa: S104  # a server for agents of other hosts
    port: Port = 9443
    # Connections of agents and external systems at a time; more get 503.
    connections: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] = 32_768
    # The names and addresses in the server's certificate; the first one is told to agents.
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    # Empty: an embedded store in the folder. Else clickhouse://user:password@host:port/database
    store: str = ""
    # Empty: an SQLite file in the folder. Else an SQLAlchemy URL of PostgreSQL.
    database: str = ""
    # 0: metrics only on the control socket. Else also on this port of the loopback address.
    metrics_port: Port = 0
    # Days that events are kept; 0 keeps them for ever.
    retention_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    # Bytes on the disk that the event log may have, as the store packs them; 0 is no limit. The
    # oldest days go first, and the newest one never does.
    retention_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    events_api: EventsApi = EventsApi()
    external_systems: ExternalSystems = ExternalSystems()
    fleet: Fleet = Fleet()
    ingest: Ingest = Ingest()
    sessions: Sessions = Sessions()
    tasking: Tasking = Tasking()
    scanning: Scanning = Scanning()


def history_seconds(text: str) -> float | None:
    """Return how far back an initial request reaches in seconds: None for all, 0.0 for nothing.

    Raises SettingsError when the setting is none of "all", "none" and an ISO 8601 duration.
    """
    if text in {"all", "none"}:
        return None if text == "all" else 0.0
    try:
        return durations.parse(text)
    except DurationError as error:
        raise SettingsError(
            f"events_api.history: expected 'all', 'none' or a duration: {error}"
        ) from error


def check(settings: EdrSettings) -> EdrSettings:
    """Return the settings; raises SettingsError for values that do not fit together."""
    history_seconds(settings.events_api.history)
    if settings.events_api.fetch_timeout > settings.events_api.max_fetch_timeout:
        raise SettingsError("events_api.fetch_timeout is above events_api.max_fetch_timeout")
    _check_stream(settings)
    if not settings.names:
        raise SettingsError("names: give at least one name or address of this server")
    return settings


def _check_stream(settings: EdrSettings) -> None:
    """Raise SettingsError when servers that share a stream do not share the rest, too."""
    stream = settings.ingest.stream
    for url in stream.urls:
        if not url.startswith(("nats://", "tls://")) or any(map(str.isspace, url)):
            raise SettingsError("ingest.stream.urls: write nats://host:port or tls://host:port")
    if not stream.urls:
        return
    if not settings.store.startswith("clickhouse://"):
        raise SettingsError("ingest.stream needs a store that all servers reach: clickhouse://…")
    if not settings.database.startswith("postgresql"):
        raise SettingsError(
            "ingest.stream needs a database that all servers reach: postgresql+pg8000://…"
        )
