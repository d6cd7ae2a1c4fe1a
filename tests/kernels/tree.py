"""Makes the root of a machine that can run the project's tests: a Debian, this tree, libraries."""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernels import plan
from tests.machines import debian, emulator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.machines.kernels import Kernel

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("src", "tests", "bpf", "pyproject.toml")
PYTHON = (3, 11)
"""The guest's, which is Debian 12's; the libraries' machine code is for one version."""
SITE = Path("usr/local/lib/python3.11/dist-packages")
HOME = Path("/root/deodar")
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,.-]+)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w.-]+)['\"]")


def make(root: Path) -> None:
    """Unpack a Debian and put the tree and its libraries into it.

    Raises OSError or subprocess.SubprocessError when there is no Debian to be had.
    """
    if sys.version_info[:2] != PYTHON:
        raise OSError(f"the guest has Python {PYTHON[0]}.{PYTHON[1]}; run this with the same one")
    debian.unpack(debian.debian_root(), root)
    home = root / HOME.relative_to("/")
    for name in PARTS:
        _copy(ROOT / name, home / name)
    site = root / SITE
    copy_distributions(closure(plan.DISTRIBUTIONS), site)
    (site / "deodar.pth").write_text(f"{HOME / 'src'}\n{HOME}\n", "ascii")


def finish(root: Path, kernel: Kernel, image: Path, tests: Sequence[str]) -> None:
    """Add a kernel's modules and what runs at boot, and pack it all."""
    kernel.give_modules(root, plan.MODULES)
    words = " ".join(("-m tests.kernels.guest", *tests))
    command = f"/usr/bin/env -C {HOME} /usr/bin/python3 -B {words}"
    emulator.run_at_boot(root, command, f"DEODAR_TEST_PATIENCE={plan.PATIENCE}")
    emulator.pack(root, image)


def closure(wanted: Iterable[str]) -> list[str]:
    """Return the names of installed distributions that these and their dependencies are.

    Raises importlib.metadata.PackageNotFoundError when a wanted one is not installed.
    """
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(word, True) for word in wanted]
    while waiting:
        word, must = waiting.pop()
        name, extras = _parsed(word)
        if (name, extras) in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            if must:
                raise
            continue  # for another platform or another Python
        found.add((name, extras))
        waiting += [(need, False) for need in needs if _applies(need, extras)]
    return sorted({name for name, _ in found})


def _parsed(requirement: str) -> tuple[str, frozenset[str]]:
    """Return the name and the extras of a requirement."""
    match = _REQUIREMENT.match(requirement)
    assert match, requirement
    name = match[1].lower().replace("_", "-")
    return name, frozenset(filter(None, (match[2] or "").split(",")))


def _applies(need: str, extras: frozenset[str]) -> bool:
    """Whether a requirement counts: those behind an extra only if that extra is wanted."""
    asked = _EXTRA.findall(need)
    return not asked or bool(extras.intersection(asked))


def copy_distributions(names: Iterable[str], site: Path) -> None:
    """Copy installed distributions, without their commands; not what is installed in place."""
    for name in names:
        for file in metadata.distribution(name).files or []:
            if ".." in file.parts or file.suffix == ".pth":
                continue
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
