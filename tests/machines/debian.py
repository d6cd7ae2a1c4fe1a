"""A Debian root that is made once and kept, for the machines that tests boot."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "procps", "iproute2", "kmod")
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))
MIRROR = "http://deb.debian.org/debian"


def missing(*programs: str) -> str:
    """Which of these programs are not on PATH, for the reason of a skip; "" when none."""
    return ", ".join(name for name in programs if not shutil.which(name, path=_path()))


def cache() -> Path:
    """The folder in which what takes long to fetch is kept from run to run."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "deodar-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mirror() -> str:
    """The Debian mirror that this machine itself uses."""
    text = "".join(path.read_text("utf-8") for path in SOURCES if path.exists())
    found = re.search(
        r"^(?:URIs:|deb)\s+(?:\[.*\]\s+)?(https?://\S+/debian)/?\s", text, re.MULTILINE
    )
    return found[1] if found else MIRROR


def debian_root(*more: str) -> Path:
    """Return a tar file of a Debian 12 with systemd and Python; made when it is not there.

    `more` are packages that it shall have besides. Raises OSError or subprocess.SubprocessError
    when it cannot be had.
    """
    packages = (*PACKAGES, *more)
    name = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    kept = cache() / f"bookworm-{name}.tar"
    if not kept.exists():
        folder, aside = cache() / f"{name}.{os.getpid()}", kept.with_suffix(".new")
        words = ("--variant=minbase", f"--include={','.join(packages)}", "bookworm")
        try:
            host("debootstrap", *words, str(folder), mirror(), limit=600)
            host("tar", "-C", str(folder), "--exclude=./var/cache/apt/*", "-cf", str(aside), ".")
            aside.rename(kept)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return kept


def unpack(root: Path, folder: Path) -> None:
    """Unpack a root, with owners and modes."""
    folder.mkdir(parents=True)
    host("tar", "-C", str(folder), "--numeric-owner", "-xpf", str(root))


def host(*words: str, limit: float = 120, cwd: Path | None = None) -> str:
    """Run a command here; returns what it wrote. Raises OSError with its last word if it fails."""
    environment = {**os.environ, "PATH": _path(), "LC_ALL": "C"}
    ran = subprocess.run(
        words, capture_output=True, text=True, timeout=limit, env=environment, cwd=cwd
    )
    if ran.returncode != 0:
        last = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
        raise OSError(f"{words[0]} failed: {' '.join(last)}")
    return ran.stdout


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
