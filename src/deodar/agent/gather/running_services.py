"""Which services run now, by the folders of the unified hierarchy of control groups."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOUNTS = Path("/proc/self/mountinfo")
MOST_FOLDERS = 50_000
DEEPEST = 16


def running(root: Path | None = None) -> list[str]:
    """Return the groups of services that have a process, such as "/system.slice/ssh.service".

    `root` is the hierarchy's folder; without one it is looked for, and none gives nothing.
    """
    if root is None:
        root = unified()
    return [] if root is None else _below(root)


def unified(mounts: Path = MOUNTS) -> Path | None:
    """Return where the unified hierarchy is mounted; None when it is not."""
    return _mounted(mounts, lambda kind: kind.startswith("cgroup2 "))


def hierarchy(mounts: Path = MOUNTS) -> Path | None:
    """Return where the hierarchy is mounted that systemd uses, be it of version 1."""
    return unified(mounts) or _mounted(mounts, lambda kind: kind.endswith("name=systemd"))


def _mounted(mounts: Path, is_wanted: Callable[[str], bool]) -> Path | None:
    with suppress(OSError):
        for line in mounts.read_text("utf-8", "surrogateescape").splitlines():
            place, _, kind = line.partition(" - ")
            if is_wanted(kind):
                return Path(place.split(" ")[4])
    return None


def _below(root: Path) -> list[str]:
    found = []
    folders = [("", 0)]
    for seen, (group, depth) in enumerate(folders):  # which grows meanwhile
        if group.endswith(".service") and _has_process(root, group):
            found.append(group)
        if depth < DEEPEST and seen < MOST_FOLDERS:
            folders += [(f"{group}/{name}", depth + 1) for name in _folders(f"{root}{group}")]
    return found


def _folders(path: str) -> list[str]:
    with suppress(OSError), os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _has_process(root: Path, group: str) -> bool:
    with suppress(OSError):
        return "populated 1" in Path(f"{root}{group}/cgroup.events").read_text()
    return False
