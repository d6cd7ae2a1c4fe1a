"""Everything of the package besides the environment: unit, scripts, documents, control data."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
from email.parser import HeaderParser
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

import environment

if TYPE_CHECKING:
    from email.message import Message

HERE = Path(__file__).resolve().parent / "agent"
DOC = Path("usr/share/doc/deodar-agent")
PLACES = {
    "deodar": Path("usr/bin/deodar"),
    "backoff.py": environment.HOME / "backoff.py",
    "deodar-agent.service": Path("lib/systemd/system/deodar-agent.service"),
    "deodar-agent.sysusers": Path("usr/lib/sysusers.d/deodar-agent.conf"),
    "deodar-agent.tmpfiles": Path("usr/lib/tmpfiles.d/deodar-agent.conf"),
    "lintian-overrides": Path("usr/share/lintian/overrides/deodar-agent"),
    "README.Debian": DOC / "README.Debian",
}
SCRIPTS = ("postinst", "prerm", "postrm")
LIBC = "2.34"
"""The newest C library that wheels of the lock may ask for (manylinux_2_34)."""


def finish(tree: Path, source: Path, version: str, epoch: int) -> None:
    """Complete the tree for dpkg-deb; every file gets the time `epoch` at the most."""
    for name, place in PLACES.items():
        _put(HERE / name, tree / place)
    _compressed(tree / "usr/share/man/man1/deodar.1.gz", (HERE / "deodar.1").read_bytes())
    _compressed(tree / DOC / "changelog.gz", (source / "CHANGELOG.md").read_bytes())
    _compressed(tree / DOC / "changelog.Debian.gz", _changelog(version, epoch).encode())
    _write(tree / DOC / "copyright", _copyright(tree))
    _set_modes(tree)
    _control(tree, version)
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def maintainer() -> str:
    """Who builds it, as Debian's tools are told: DEBFULLNAME and DEBEMAIL."""
    name = os.environ.get("DEBFULLNAME", "Deodar")
    return f"{name} <{os.environ.get('DEBEMAIL', 'root@localhost.localdomain')}>"


def _changelog(version: str, epoch: int) -> str:
    return (
        f"deodar-agent ({version}) bookworm; urgency=medium\n\n"
        "  * Built from the tree; changelog.gz tells what is new.\n\n"
        f" -- {maintainer()}  {formatdate(epoch)}\n"
    )


def _copyright(tree: Path) -> str:
    """Return the licences: the agent's, and of each library what it says of itself."""
    lines = [
        "Copyright (C) 2026 the authors of Deodar, as its history names them.",
        "",
        "Deodar is licensed under the Apache License, version 2.0, whose text is in",
        "/usr/share/common-licenses/Apache-2.0. The programs for the kernel below",
        "deodar/agent/sensors/blobs may also be used under GPL-2.0-only or BSD-2-Clause.",
        "",
        "The package carries these libraries; the text of each licence is in the folder",
        f"/{environment.HOME / environment.SITE}/NAME-VERSION.dist-info.",
        "",
    ]
    for info in sorted((tree / environment.HOME / environment.SITE).glob("*.dist-info")):
        facts = HeaderParser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
        licence = facts["License-Expression"] or facts["License"] or _classified(facts)
        lines.append(f"  {facts['Name']} {facts['Version']}: {' '.join(licence.split())[:80]}")
    return "\n".join(lines) + "\n"


def _classified(facts: Message) -> str:
    named = facts.get_all("Classifier", [])
    return ", ".join(x.split(" :: ")[-1] for x in named if x.startswith("License")) or "see there"


def _control(tree: Path, version: str) -> None:
    folder = tree / "DEBIAN"
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    text = (HERE / "control.in").read_text(encoding="utf-8")
    for word, value in {"VERSION": version, "MAINTAINER": maintainer(), "LIBC": LIBC}.items():
        text = text.replace(f"@{word}@", value)
    _write(folder / "control", text.replace("@SIZE@", str(size)))
    sums = (f"{hashlib.md5(p.read_bytes()).hexdigest()}  {p.relative_to(tree)}\n" for p in files)  # noqa: S324 - dpkg's format
    _write(folder / "md5sums", "".join(sums))
    for name in SCRIPTS:
        _put(HERE / name, folder / name)
        (folder / name).chmod(0o755)
    folder.chmod(0o755)


def _set_modes(tree: Path) -> None:
    """Same modes whatever umask there was; only commands are executable."""
    commands = {tree / "usr/bin/deodar"}
    for path in tree.rglob("*"):
        if stat.S_ISLNK(path.lstat().st_mode):
            continue
        path.chmod(0o755 if path.is_dir() or path in commands else 0o644)


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _compressed(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data, 9, mtime=0))
