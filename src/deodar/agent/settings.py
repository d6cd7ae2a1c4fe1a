"""How this agent is tuned: the file ``agent.toml`` in its folder.

Enrolment writes the agent's name; everything else has a default. What an administrator changes in
daily work is not here: the tasks' settings, with the names of KESL, are in `deodar.tasks`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0)]
Bytes = Annotated[int, Meta(ge=1)]

MEBIBYTE = 1 << 20


class TransferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events are packed. How long they may wait is a setting of the task KATAEDR."""

    store_delay: Positive = 1.0
    """Seconds after which an event is on the disk at the latest."""
    enough_events: Annotated[int, Meta(ge=1, le=10_000)] = 1024
    """So many waiting events are sent without further delay."""
    maximum_events: Annotated[int, Meta(ge=1, le=10_000)] = 10_000
    """Events in one request. The server commits each request by itself, so that after an outage
    large ones are delivered sooner."""
    maximum_bytes: Annotated[int, Meta(ge=1024, le=16_000_000)] = 12_000_000
    """Bytes in one request before compression."""


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept on disk until the server has it."""

    maximum_bytes: Annotated[int, Meta(ge=MEBIBYTE)] = 512 * MEBIBYTE
    """Disk space; when it is used up, events of low importance go first, detections last, and
    their loss is reported."""
    maximum_days: Annotated[float, Meta(gt=0, le=365)] = 21.0
    """Days that an event is kept while the server cannot be reached."""
    segment_bytes: Annotated[int, Meta(ge=64 * 1024)] = 4 * MEBIBYTE
    """Size of one file of the spool: what is thinned out or freed at once."""
    memory_bytes: Annotated[int, Meta(ge=MEBIBYTE)] = 8 * MEBIBYTE
    """Memory for packets while the disk takes none."""
    sync: bool = True
    """Wait until a packet is on the disk; without, a power cut can lose the last seconds."""


class HashSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hashes of the programs that are started, computed in a process of its own."""

    enabled: bool = True
    maximum_file_bytes: Annotated[int, Meta(ge=0)] = 256 * MEBIBYTE
    """Larger files are not hashed."""
    maximum_wait: Positive = 1.0
    """Seconds that an event waits for its hash; then it goes without."""
    cache_entries: Annotated[int, Meta(ge=16)] = 4096
    fuzzy: bool = True
    """Compute ssdeep hashes too, which tell of similar files. They take 0.6 s per MB."""
    maximum_fuzzy_bytes: Annotated[int, Meta(ge=0, le=64 * MEBIBYTE)] = 2 * MEBIBYTE
    """Larger files get no fuzzy hash."""
    processor_percent: Annotated[float, Meta(gt=0, le=100)] = 10.0
    """Processor time for hashing, of one core on average; ten seconds of it can be saved up. When
    half of these are used up files go without a fuzzy hash, and in the end without any."""


class SensorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events come from."""

    order: list[str] = msgspec.field(default_factory=lambda: ["bpf", "audit", "proc"])
    """Sensors by name; the first one that works on this host is used."""
    queue_records: Annotated[int, Meta(ge=1000)] = 20_000
    """Records that may wait for enrichment; more are counted and dropped."""
    processes: Annotated[int, Meta(ge=256)] = 4096
    """Processes that are remembered, to name parents."""


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts, scheduled tasks, services and the log, which are read from the host's files."""

    root: Annotated[str, Meta(pattern="^/")] = "/"
    """Where the host's root folder is: another one for an agent that is in a container itself."""


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may use the commands of this agent on this host."""

    group: str = ""
    """A group of accounts that may, besides root and the agent's own account; "" for none."""


class OrderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server may order on this host, whatever rights its users have."""

    allowed: list[Literal["run_process", "get_file"]] = msgspec.field(
        default_factory=lambda: ["run_process", "get_file"]
    )
    """Kinds of tasks; others are answered as not allowed."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    agent_id: str
    """The name that the server gave this agent."""
    transfer: TransferSettings = msgspec.field(default_factory=TransferSettings)
    spool: SpoolSettings = msgspec.field(default_factory=SpoolSettings)
    hashes: HashSettings = msgspec.field(default_factory=HashSettings)
    watch: WatchSettings = msgspec.field(default_factory=WatchSettings)
    sensor: SensorSettings = msgspec.field(default_factory=SensorSettings)
    control: ControlSettings = msgspec.field(default_factory=ControlSettings)
    orders: OrderSettings = msgspec.field(default_factory=OrderSettings)
