"""How the programs get to know which changes of files are wanted.

They follow it in the kernel, so that what is left out costs next to nothing.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall
from deodar.agent.sensors.file_policy import NEVER_FILES, below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.sensors.file_policy import FilePolicy
    from deodar.agent.sensors.loader import Loaded

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
