"""What can be set for each task: names, defaults, ranges and meanings, with the names of KESL.

Names and defaults are those of KESL 12 (pages 245753, 291240, 234873, 197655 of its help). Its help
tells few ranges; upper bounds of times and counts are ours. Seconds may have decimals here.

A field's meaning is the text below it; the reference page is made of these. Structs hold what was
checked by `deodar.tasks.check`; one that is built in code is not checked again.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from deodar.tasks.addresses import address_problem
from deodar.tasks.masks import folder_problem, mask_problem
from deodar.tasks.proxy import proxy_problem

_SECONDS = {"unit": "seconds"}
_ADDRESS = {"range": "an IPv4 or IPv6 address or a host's name", "check": address_problem}
_MASK = {"range": "a full path; `*`, `?` and one `**` are masks", "check": mask_problem}
_FOLDER = {"range": "a full path, without masks", "check": folder_problem}
_PROXY = {"range": "`[user:password@]host:port`", "check": proxy_problem, "secret": True}

Seconds = Annotated[float, Meta(gt=0, le=3600, extra=_SECONDS)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Base of all settings."""


Kind = type[Settings]


class Endpoint(Settings, frozen=True, kw_only=True):
    """One EDR server."""

    address: Annotated[str, Meta(max_length=253, extra=_ADDRESS)] = "127.0.0.1"
    """Where the server is. With an IP address an isolated host needs no DNS to reach it."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    """The server's TCP port."""


class EventTransferSettings(Settings, frozen=True, kw_only=True):
    """How events get to the server, and how many."""

    maximum_data_transfer_time: Annotated[float, Meta(gt=0, le=86400, extra=_SECONDS)] = 30.0
    """The longest time that an event waits for others to go with it."""
    use_request_count_limits: bool = True
    """Throttling: events of low importance are held back when there are too many."""
    maximum_number_of_events_in_hour: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 3000
    """Events in an hour, of all types together, above which throttling begins."""
    event_limit_exceeded_percentage: Annotated[
        int, Meta(ge=5, le=100, extra={"unit": "percent"})
    ] = 15
    """The share of all events above which throttling holds an event type back."""


class KataEdrSettings(Settings, frozen=True, kw_only=True):
    """Settings of the task KATAEDR: the way to the EDR server."""

    use_client_pinned_certificate: bool = False
    """Mutual TLS: the agent shows its client certificate, which must be added before the start."""
    synchronization_period: Annotated[int, Meta(ge=1, le=60, extra={"unit": "minutes"})] = 5
    """How often the agent tells the server its state and asks for its policy."""
    connection_timeout: Seconds = 10.0
    """The longest time until a connection stands."""
    request_timeout: Seconds = 10.0
    """The longest time until the server answers."""
    enable_telemetry: bool = True
    """Whether events are sent. Without, synchronization and tasks go on."""
    endpoints: Annotated[tuple[Endpoint, ...], Meta(min_length=1, max_length=16)] = (Endpoint(),)
    """The servers, tried in this order."""
    event_transfer_settings: EventTransferSettings = EventTransferSettings()
    """How events get to the server, and how many."""


class TrustedProgram(Settings, frozen=True, kw_only=True):
    """One program whose events are left out."""

    program_path: Annotated[str, Meta(min_length=1, max_length=4096, extra=_MASK)]
    """The program's file."""
    apply_to_descendants: bool = False
    """Whether events of the processes that it starts, and of theirs, are left out too."""
    program_desc: Annotated[str, Meta(max_length=1024)] = ""
    """A note for people."""
    use_trusted_program: bool = True
    """Whether this entry counts."""


class ExcludedFolder(Settings, frozen=True, kw_only=True):
    """One folder whose files are not watched."""

    folder_path: Annotated[str, Meta(min_length=2, max_length=4096, extra=_FOLDER)]
    """The folder, with all that is below it. Changes there are not even counted."""


class FileMonitoringSettings(Settings, frozen=True, kw_only=True):
    """How many changes of files are told one by one; KESL has no such settings."""

    events_per_second: Annotated[int, Meta(ge=0, le=100_000)] = 50
    """Changes of files that are told of each process, on average; 0 for all. More are counted.
    Those of executable files, and in folders such as `/etc`, are always told."""
    burst: Annotated[int, Meta(ge=0, le=1_000_000)] = 200
    """Changes of files that are told of a process at once, after a while without any."""


class BehaviorDetectionSettings(Settings, frozen=True, kw_only=True):
    """Settings of the task Behavior_Detection: what the sensors leave out."""

    use_trusted_programs: bool = False
    """Whether the trusted programs are left out. Not while MDR integration is on."""
    trusted_programs: Annotated[tuple[TrustedProgram, ...], Meta(max_length=1000)] = ()
    """The programs whose events are left out."""
    excluded_folders: Annotated[tuple[ExcludedFolder, ...], Meta(max_length=200)] = (
        ExcludedFolder(folder_path="/var/log/journal"),
        ExcludedFolder(folder_path="/run/log/journal"),
    )
    """The folders whose files are not watched."""
    file_monitoring: FileMonitoringSettings = FileMonitoringSettings()
    """How many changes of files are told one by one."""


class PreventionSettings(Settings, frozen=True, kw_only=True):
    """Settings of the task KATAEDR_Prevention: none yet."""


class ApplicationSettings(Settings, frozen=True, kw_only=True):
    """The general settings of the application."""

    use_proxy: bool = False
    """Whether the server is reached through the proxy."""
    proxy_server: Annotated[str, Meta(max_length=1024, extra=_PROXY)] = ""
    """The HTTP proxy. The password is never shown."""
    use_mdr: bool = msgspec.field(default=False, name="UseMDR")
    """Whether this host is integrated with MDR: then trusted programs are not left out."""
    max_events_number: Annotated[int, Meta(ge=1, le=10_000_000)] = 500_000
    """How many of the agent's own events are kept; the oldest go first."""
    use_syslog: bool = False
    """Whether the agent's own events are also written to syslog."""


FLAT: dict[Kind, dict[str, tuple[str, ...]]] = {
    KataEdrSettings: {
        "Address": ("Endpoints", "item_0000", "Address"),
        "Port": ("Endpoints", "item_0000", "Port"),
    }
}
"""Names of the flat form that stand for one of a list. Names of a section need no entry here."""

IGNORED: dict[Kind, dict[str, tuple[str, ...]]] = {
    KataEdrSettings: {"Mode": ("EDRKATA",)},
    EventTransferSettings: {"MaximumNumberOfEventsInPackage": ()},
    BehaviorDetectionSettings: {"TaskMode": (), "UseAEP": (), "AEPMode": ()},
    ApplicationSettings: dict.fromkeys(
        ("UseKSN", "CloudMode", "UseEdrOptimum", "EventsStoragePath", "TraceLevel"), ()
    ),
}
"""Settings of KESL without a function here, and the values that they may have (none: any)."""

Values = dict[str, Any]
"""Settings in KESL's shape: encoded names, lists of objects for ``item_#`` sections."""
