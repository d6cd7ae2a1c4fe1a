#!/usr/bin/env python3
"""Builds a Debian package of one program: `build_deb.py agent`; so far there is the agent's.

The package holds a virtual environment of its own on Debian's python3: installing it takes no
network and touches no Python package of the host. Libraries come from the lock file with their
hashes. The same tree, at the same SOURCE_DATE_EPOCH, gives the same bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import debtree
import environment

ROOT = Path(__file__).resolve().parent.parent
COMPRESSIONS = ("xz", "gzip", "none")


def main() -> int:
    """Build what the command line asks for, and print the package's path."""
    options = _parse()
    epoch = source_date(options.source)
    version = options.version or debian_version(options.source)
    try:
        with tempfile.TemporaryDirectory(prefix="deodar-deb-") as work:
            tree = Path(work) / "tree"
            environment.make(tree / environment.HOME, options.source)
            debtree.finish(tree, options.source, version, epoch)
            made = pack(tree, options.out, version, options.compress, epoch)
            sys.stdout.write(f"{made}\n")
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"build_deb: {error.cmd[0]} ended with {error.returncode}\n")
        return 1
    return 0


def pack(tree: Path, out: Path, version: str, compression: str, epoch: int) -> Path:
    """Make the package file of a finished tree; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"deodar-agent_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(tree), str(target)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )
    return target


def source_date(source: Path) -> int:
    """SOURCE_DATE_EPOCH, else the time of the last commit, else that of pyproject.toml."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(source), "log", "-1", "--format=%ct"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode == 0 and told.stdout.strip():
        return int(told.stdout)
    return int((source / "pyproject.toml").stat().st_mtime)


def debian_version(source: Path) -> str:
    """The version of the tree with Debian's revision: 0.1.0-1."""
    text = (source / "src" / "deodar" / "__init__.py").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("__version__"))
    return line.split('"')[1] + "-1"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", choices=["agent"])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the package")
    parser.add_argument("--source", type=Path, default=ROOT, help="tree to build from")
    parser.add_argument("--version", help="Debian version; else the tree's, with revision 1")
    parser.add_argument("--compress", choices=COMPRESSIONS, default="xz", help="none is quick")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
