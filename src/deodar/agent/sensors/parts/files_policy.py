"""Which changes of files are told one by one, which only counted, and which left out.

This is applied in the kernel, so that what is left out costs next to nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.sensors.loader import Loaded

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
KEYS_FOLDER = ".ssh"
RAW_DRIVERS = {"raw", "sg", "bsg", "nvme", "nvme-generic", "mtd", "st"}
"""Character devices, as in /proc/devices, that lead to a disk past its file system."""
SECOND = 1_000_000_000
PREFIX_BYTES = 128
MOST_PREFIXES = 1000
IS_EXCLUDED, IS_IMPORTANT = 1, 2
_POLICY = struct.Struct("<QQQII")
_PREFIX = struct.Struct(f"<I{PREFIX_BYTES}s")
_ZERO = bytes(4)


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
        return any(path.startswith(below(folder)) for folder in (*NEVER_FILES, *self.excluded))


def below(folder: str) -> bytes:
    """Return what the paths of all that is in a folder begin with."""
    return folder.encode("utf-8", "surrogateescape").rstrip(b"/") + b"/"


def put_policy(loaded: Loaded, policy: FilePolicy) -> None:
    """Let the programs follow a policy; raises OSError."""
    interval = SECOND // policy.events_per_second if policy.events_per_second else 0
    again = int(policy.repeat_after * SECOND)
    limits = _POLICY.pack(interval, interval * policy.burst, again, 0, 0)
    syscall.update(loaded.maps["policy"], _ZERO, limits)
    wanted = dict(_prefixes(policy))
    prefixes = loaded.maps["prefixes"]
    for key in syscall.keys(prefixes, _PREFIX.size, MOST_PREFIXES):
        if key not in wanted:
            syscall.delete(prefixes, key)
    for key, flag in wanted.items():
        syscall.update(prefixes, key, struct.pack("<I", flag))
    for major in raw_majors(_read("/proc/devices")):
        syscall.update(loaded.maps["raw_majors"], struct.pack("<I", major), struct.pack("<I", 1))


def raw_majors(devices: str) -> set[int]:
    """Return the numbers of `RAW_DRIVERS` in a text as /proc/devices gives it."""
    found = set()
    for line in devices.partition("Block devices:")[0].splitlines():
        number, _, name = line.strip().partition(" ")
        if name in RAW_DRIVERS:
            found.add(int(number))
    return found


def _prefixes(policy: FilePolicy) -> Iterator[tuple[bytes, int]]:
    """Yield keys and values of the map; of what is too long for it, the beginning is important."""
    for folder in (*policy.important, *key_folders(_read("/etc/passwd"))):
        prefix = below(folder)[:PREFIX_BYTES]
        yield _PREFIX.pack(8 * len(prefix), prefix), IS_IMPORTANT
    for folder in (*NEVER_FILES, *policy.excluded):
        prefix = below(folder)
        if len(prefix) <= PREFIX_BYTES:  # longer ones are left out in user space
            yield _PREFIX.pack(8 * len(prefix), prefix), IS_EXCLUDED


def key_folders(accounts: str) -> list[str]:
    """Return where the accounts in a text like /etc/passwd have the keys that log on to them."""
    homes = {line.split(":")[5] for line in accounts.splitlines() if line.count(":") == 6}
    folders = [f"{home.rstrip('/')}/{KEYS_FOLDER}" for home in sorted(homes) if home[:1] == "/"]
    return folders[: MOST_PREFIXES // 2]


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "surrogateescape")
    except OSError:  # a host without that file is watched all the same
        return ""
