"""The agent's settings: the file ``agent.toml`` in its folder.

Enrolment writes the server's part; everything else has a default. The names and defaults of the
time limits follow the task KATAEDR of KESL where it has such a setting (connection and request
time-outs of 10 seconds); the delay of a packet is far shorter here, so that an event is seen in
the console at once.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=1)]

MEBIBYTE = 1 << 20


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The EDR server that this agent belongs to."""

    url: str
    """Base address, such as https://edr.example.org:9443."""
    pins: list[str]
    """SHA-256, in hex, of the certificates to trust: the server's or its authority's."""
    connection_timeout: Positive = 10.0
    """Seconds to make a connection."""
    request_timeout: Positive = 10.0
    """Seconds to wait for an answer, or for the next piece of it."""
    heartbeat: Positive = 60.0
    """Seconds without a packet after which the server is greeted."""


class TransferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events are packed."""

    maximum_delay: Positive = 0.15
    """Seconds that an event may wait for others to fill the packet."""
    maximum_events: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    """Events in a packet."""
    maximum_bytes: Annotated[int, Meta(ge=1024, le=16_000_000)] = 12_000_000
    """Bytes in a packet before compression. The server commits each packet by itself, so that
    after an outage large ones are delivered sooner."""


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept on disk until the server has it."""

    maximum_bytes: Annotated[int, Meta(ge=MEBIBYTE)] = 512 * MEBIBYTE
    """Disk space; when it is used up, the oldest packets go, and their loss is reported."""
    segment_bytes: Annotated[int, Meta(ge=64 * 1024)] = 16 * MEBIBYTE
    """Size of one file of the spool: what is freed at once when the space is used up."""
    memory_bytes: Annotated[int, Meta(ge=MEBIBYTE)] = 8 * MEBIBYTE
    """Memory for packets while the disk takes none."""
    sync: bool = True
    """Wait until a packet is on the disk; without, a power cut can lose the last seconds."""


class HashSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """MD5 and SHA-256 of the programs that are started."""

    enabled: bool = True
    maximum_file_bytes: Annotated[int, Meta(ge=0)] = 256 * MEBIBYTE
    """Larger files are not hashed."""
    maximum_wait: Positive = 1.0
    """Seconds that an event waits for its hash; then it goes without."""
    cache_entries: Annotated[int, Meta(ge=16)] = 4096


class SensorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events come from."""

    order: list[str] = msgspec.field(default_factory=lambda: ["bpf", "audit", "proc"])
    """Sensors by name; the first one that works on this host is used."""
    queue_records: Annotated[int, Meta(ge=1000)] = 20_000
    """Records that may wait for enrichment; more are counted and dropped."""
    processes: Annotated[int, Meta(ge=256)] = 8192
    """Processes that are remembered, to name parents."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    agent_id: str
    """The name that the server gave this agent."""
    server: ServerSettings
    transfer: TransferSettings = msgspec.field(default_factory=TransferSettings)
    spool: SpoolSettings = msgspec.field(default_factory=SpoolSettings)
    hashes: HashSettings = msgspec.field(default_factory=HashSettings)
    sensor: SensorSettings = msgspec.field(default_factory=SensorSettings)
