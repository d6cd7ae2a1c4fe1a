"""Unit files of systemd as text: systemd.syntax(7), as much of it as tells what a unit does."""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from typing import NamedTuple

MOST_LINES = 4000
MOST_VALUES = 64
"""Values of one setting that are kept, and characters of each: `MOST_CHARACTERS`."""
MOST_CHARACTERS = 2048

Settings = dict[tuple[str, str], tuple[str, ...]]
"""Values by section and name, in order; an empty value forgets those before it."""


class UnitText(NamedTuple):
    """What one file says: of a unit, or added to one."""

    digest: str
    """Of the content without comments and blank lines; "" when nothing is left."""
    assignments: tuple[tuple[str, str, str], ...]
    """Section, name and value, in order; only of the settings in `KNOWN`."""


KNOWN = {
    "Service": {"ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "User", "Type"},
    "Socket": {
        "ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenNetlink",
        "ListenSpecial", "ListenMessageQueue", "ListenUSBFunction", "Service", "Accept",
    },
    "Timer": {
        "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec",
        "OnCalendar", "OnClockChange", "OnTimezoneChange", "Unit",
    },
}  # fmt: skip
"""Settings that are told."""


def parse(content: bytes) -> UnitText:
    """Return what a file says; a line that is none is passed over, as systemd does."""
    section = ""
    digest = blake2b(digest_size=12)
    found = []
    said = False
    for line in _lines(content.decode("utf-8", "backslashreplace")):
        said = True
        digest.update(line.encode() + b"\n")
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        name, equals, value = line.partition("=")
        if equals and name.strip() in KNOWN.get(section, ()):
            found.append((section, name.strip(), value.strip()[:MOST_CHARACTERS]))
    return UnitText(digest.hexdigest() if said else "", tuple(found))


def digest_of(content: bytes) -> str:
    """Return what stands for a script's content."""
    return blake2b(content, digest_size=12).hexdigest()


def merge(texts: list[UnitText]) -> Settings:
    """Return the settings of a unit's file and of those that add to it, in their order."""
    values: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text in texts:
        for section, name, value in text.assignments:
            if not value:
                values[section, name] = []
            elif len(values[section, name]) < MOST_VALUES:
                values[section, name].append(value)
    return {key: tuple(value) for key, value in values.items() if value}


def last(settings: Settings, section: str, name: str) -> str:
    """Return the value that holds of a setting that has only one; "" for none."""
    values = settings.get((section, name), ())
    return values[-1] if values else ""


def commands(settings: Settings) -> str:
    """Return what a service runs or a socket listens on, "; " between several."""
    found = settings.get(("Service", "ExecStart"), ())
    if not found:
        found = tuple(
            f"{name}={value}"
            for (section, name), values in settings.items()
            for value in values
            if section == "Socket" and name.startswith("Listen")
        )
    return "; ".join(found)


def schedule(settings: Settings) -> str:
    """Return when a timer runs, in its own words."""
    return "; ".join(
        f"{name}={value}"
        for (section, name), values in settings.items()
        for value in values
        if section == "Timer" and name.startswith("On")
    )


def _lines(text: str) -> list[str]:
    """Return the lines without comments and blank ones, continued ones joined."""
    found: list[str] = []
    open_line = ""
    for raw in text.split("\n")[:MOST_LINES]:
        line = raw.strip()
        if line[:1] in ("#", ";"):
            continue
        if line.endswith("\\"):
            open_line += line[:-1] + " "
            continue
        whole, open_line = open_line + line, ""
        if whole.strip():
            found.append(whole.strip())
    return [*found, open_line.strip()] if open_line.strip() else found
