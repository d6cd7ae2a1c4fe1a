"""Debian's stock kernels: downloaded and unpacked beside the machine's own, never installed.

A private folder of apt names the suite, so that this host's sources stay as they are.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machines.debian import cache, host, mirror

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Stock:
    """A kernel package of a suite of Debian."""

    suite: str
    package: str = "linux-image-amd64"

    def fetched(self) -> Kernel:
        """Return the kernel, fetched when it is not kept; remove the kept folder for a newer one.

        Raises OSError or subprocess.SubprocessError when it cannot be had.
        """
        folder = cache() / f"{self.package}.{self.suite}"
        if not folder.exists():
            aside = folder.with_name(f"{folder.name}.{os.getpid()}")
            aside.mkdir()
            try:
                self._fetch(aside)
                aside.rename(folder)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return Kernel(folder)

    def _fetch(self, folder: Path) -> None:
        """Fetch what the package of this name depends on, and unpack it into the folder."""
        apt = folder / "apt"
        options = _private(apt, self.suite)
        host("apt-get", *options, "update", limit=300)
        image = next(iter(_dependencies(options, self.package, "linux-image-")), None)
        if image is None:
            raise OSError(f"{self.suite} has no {self.package}")
        parts = _dependencies(options, image, "linux-binary-", "linux-modules-")
        host("apt-get", *options, "download", image, *parts, cwd=apt, limit=600)
        for package in apt.glob("*.deb"):
            host("dpkg-deb", "-x", str(package), str(folder), limit=300)
        shutil.rmtree(apt)


def _dependencies(options: list[str], package: str, *kinds: str) -> list[str]:
    """Return the packages of these kinds that one depends on."""
    told = host("apt-cache", *options, "depends", "--important", package).split()
    return [word for word in told if word.startswith(kinds) and word != package]


def _private(folder: Path, suite: str) -> list[str]:
    """Make a configuration of apt that knows this suite and nothing else; returns its options."""
    for name in ("lists/partial", "cache/archives/partial", "state", "parts"):
        (folder / name).mkdir(parents=True)
    source = folder / "sources.list"
    source.write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n", "utf-8")
    settings = {
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": folder / "parts",
        "Dir::State": folder / "state",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    folder: Path

    @property
    def image(self) -> Path:
        """The file that is booted."""
        (found,) = self.folder.glob("**/vmlinuz*")
        return found

    @property
    def release(self) -> str:
        """What `uname -r` says when it runs."""
        return self.modules.name

    @property
    def modules(self) -> Path:
        """The folder of its modules; newer packages have it below /usr."""
        (found,) = (path for path in self.folder.glob("**/lib/modules/*") if path.is_dir())
        return found

    def give_modules(self, root: Path, names: Iterable[str]) -> None:
        """Copy modules into a root: names are patterns of files and folders below `kernel`."""
        target = root / "usr" / "lib" / "modules" / self.release
        target.mkdir(parents=True)
        for file in self.modules.glob("modules.*"):
            shutil.copy(file, target)
        for pattern in names:
            for source in (self.modules / "kernel").glob(pattern):
                place = target / source.relative_to(self.modules)
                place.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, place, dirs_exist_ok=True)
                else:
                    shutil.copy(source, place)
        host("chroot", str(root), "depmod", self.release)
