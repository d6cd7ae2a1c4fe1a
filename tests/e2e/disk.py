"""A small file system in a file, mounted by a loop device, that can fail as disks do."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The ioctl by which xfstests cut the power: ext4 and XFS take it. 2: the journal is not flushed
# either; from then on every access fails, and only what was on the disk is found again.
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


class Disk:
    """One file system, mounted at `mount`."""

    def __init__(self, folder: Path, kind: str, size: int) -> None:
        self._image = folder / "disk.img"
        self.mount = folder / "disk"
        self.mount.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size)
        _run(f"mkfs.{kind}", "-q", self._image)
        self.attach()

    def attach(self) -> None:
        """Mount it; the file system puts itself in order, as after a loss of power."""
        _run("mount", "-o", "loop", self._image, self.mount)

    def detach(self) -> None:
        """Unmount it, whatever state it is in."""
        _run("umount", self.mount)

    def cut_power(self) -> None:
        """Let everything be lost that is not on the disk now, and every access fail."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def fill(self, leave: int = 0) -> Path:
        """Take all room but `leave` bytes; returns the file that has it."""
        ballast = self.mount / "ballast"
        free = os.statvfs(self.mount)
        size = free.f_bavail * free.f_frsize - leave
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        if not leave:  # also what is kept back for root
            for block in (1 << 20, 4096):
                with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
                    while True:
                        file.write(bytes(block))
        return ballast


@contextlib.contextmanager
def disk(folder: Path, kind: str, size: int) -> Iterator[Disk]:
    """Give a new file system; it is unmounted at the end."""
    made = Disk(folder, kind, size)
    try:
        yield made
    finally:
        if made.mount.is_mount():
            _run("umount", "--lazy", made.mount)


def _run(*words: object) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{words}: {done.stderr}"
