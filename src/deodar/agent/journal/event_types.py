"""The types of the agent's own events, with what each tells; the reference page is made of this.

``TaskStateChanged`` is KESL's name (facts of its manual, page 264011). The other names are ours:
KESL's list speaks of scanning, updating and licences, which Deodar has not.
"""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """A type of the agent's own events; the value is the name that a record carries."""

    meaning: str
    level: str
    """How much it matters, if whoever adds an event does not say."""
    details: tuple[str, ...]
    """Names of the details that its records usually have."""

    def __new__(
        cls, name: str, meaning: str = "", level: str = "Info", details: tuple[str, ...] = ()
    ) -> EventType:
        """Make one type of its name, its meaning, its usual level and its usual details."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.meaning = meaning
        made.level = level
        made.details = details
        return made

    APPLICATION_STARTED = "ApplicationStarted", "The agent began to run", "Info", ("Version",)
    APPLICATION_STOPPED = "ApplicationStopped", "The agent was stopped in good order"
    TASK_STATE_CHANGED = (
        "TaskStateChanged",
        "A task was started or stopped, or could not be",
        "Info",
        ("TaskState", "Reason"),
    )
    SETTINGS_CHANGED = (
        "SettingsChanged",
        "Settings have other values now; the initiator tells who changed them",
        "Info",
        ("Settings",),
    )
    SETTINGS_PROBLEM = (
        "SettingsProblem",
        "A file of settings cannot be used; the defaults are in force in its place",
        "Warning",
        ("Problem",),
    )
    POLICY_APPLIED = (
        "PolicyApplied",
        "The server's policy is in force; version 0: there is none any more",
        "Info",
        ("Version", "Settings"),
    )
    POLICY_REFUSED = (
        "PolicyRefused",
        "The server's policy cannot be used; the one before stays in force",
        "Warning",
        ("Reason",),
    )
    SERVER_CONNECTED = "ServerConnected", "A server answers again", "Info", ("Server",)
    SERVER_UNAVAILABLE = (
        "ServerUnavailable",
        "No server can be reached; telemetry is kept on the disk",
        "Warning",
        ("Server", "Problem"),
    )
    SERVER_REFUSED = (
        "ServerRefused",
        "The server refuses this agent or what it sent",
        "Critical",
        ("Server", "Problem"),
    )
    SERVER_TASK = (
        "ServerTask",
        "The server ordered a task; State tells how it fares",
        "Warning",
        ("Task", "TaskKind", "State", "Reason"),
    )
    CERTIFICATE_CHANGED = (
        "CertificateChanged",
        "The server's or the client's certificate was added, replaced or removed",
        "Info",
        ("Certificate",),
    )
    CERTIFICATE_PROBLEM = (
        "CertificateProblem",
        "A certificate is missing, has ended, or will soon end",
        "Warning",
        ("Certificate", "Problem"),
    )
    TELEMETRY_LOSS = (
        "TelemetryLoss",
        "Telemetry was dropped by a stated rule; the server is told the same",
        "Warning",
        ("Stage", "Reason", "Count"),
    )
    THROTTLING_STARTED = (
        "ThrottlingStarted",
        "The hourly number of events is used up; frequent ones of low importance are held back",
        "Warning",
        ("MaximumNumberOfEventsInHour", "EventLimitExceededPercentage", "DetailEventType"),
    )
    THROTTLING_ENDED = (
        "ThrottlingEnded",
        "All events are sent again",
        "Info",
        ("EventsHeldBack", "Seconds"),
    )
    SPOOL_DAMAGED = (
        "SpoolDamaged",
        "Part of the telemetry kept on the disk cannot be read",
        "Critical",
        ("File", "Problem"),
    )
    SENSOR_UNAVAILABLE = (
        "SensorUnavailable",
        "A sensor does not work on this host; the next one is tried",
        "Warning",
        ("Sensor", "Reason"),
    )
    DISK_PROBLEM = (
        "DiskProblem",
        "The disk took nothing for a while; Dropped counts the agent's own events that were lost",
        "Critical",
        ("Problem", "Dropped"),
    )
    EVENTS_DAMAGED = (
        "EventsDamaged",
        "The file of these events was damaged; it was set aside and a new one begun",
        "Warning",
        ("File", "Problem"),
    )
    EVENTS_SKIPPED = (
        "EventsSkipped",
        "A note in the live output, never stored: whoever reads is too slow, and missed this many",
        "Warning",
        ("Count",),
    )
