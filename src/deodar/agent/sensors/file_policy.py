"""Which changes of files are told one by one, which only counted, and which left out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

EXCLUDED = ("/var/log/journal", "/run/log/journal")
"""Folders that change all the time, and whose changes say nothing."""
NEVER_FILES = ("/proc", "/sys")
"""What is written there is an order to the kernel."""
IMPORTANT = (
    "/etc",
    "/boot",
    "/lib/modules",
    "/lib/systemd",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/usr/lib/modules",
    "/usr/lib/systemd",
    "/var/spool/at",
    "/var/spool/cron",
)
"""Folders of which every change is told: accounts, services, schedules, what runs at logon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePolicy:
    """What is wanted of the files' sensor. Folders are absolute paths, without a slash at the end.

    A process may change `burst` files at once and `events_per_second` on average; what it changes
    beyond that is counted. Executable files and `important` folders are told in any case.
    """

    excluded: tuple[str, ...] = EXCLUDED
    important: tuple[str, ...] = IMPORTANT
    events_per_second: int = 50
    """0 for no limit."""
    burst: int = 200
    repeat_after: float = 3600.0
    """Seconds after which a library, device or memory that a program opens again is told again."""

    def excludes(self, path: bytes) -> bool:
        """Whether changes of a file are left out."""
        return path.startswith(_prefixes(self.excluded))


@lru_cache(8)
def _prefixes(excluded: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(below(folder) for folder in (*NEVER_FILES, *excluded))


def below(folder: str) -> bytes:
    """Return what the paths of all that is in a folder begin with."""
    return folder.encode("utf-8", "surrogateescape").rstrip(b"/") + b"/"
