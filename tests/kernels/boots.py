"""Boots one kernel with the tree inside and takes its account, within a time limit."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernels import plan, tree
from tests.kernels.results import Account, Run
from tests.machines.emulator import Emulator, boot_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.machines.kernels import Kernel, Stock

WENT_OFF = "the guest went off before the tests were over"
LAST_WORDS = 400


def run(stock: Stock, place: Path, log: Path, tests: Sequence[str]) -> Run:
    """Return what came of one kernel; never raises for what the kernel or the archive does."""
    account = Account(datetime.now(UTC).date().isoformat(), revision())
    try:
        kernel = stock.fetched()
        image = _packed(place, kernel, tests)
    except (OSError, subprocess.SubprocessError) as error:
        return account.run(0, f"it could not be made ready: {error}")
    try:
        return follow(Emulator(log, *boot_words(kernel.image, image, *plan.BOOT)), account)
    finally:
        image.unlink(missing_ok=True)


def _packed(place: Path, kernel: Kernel, tests: Sequence[str]) -> Path:
    """Return the packed root for a kernel; the folder that it is made of is gone again."""
    image = place / "image"
    with tempfile.TemporaryDirectory(dir=place) as folder:
        root = Path(folder) / "root"
        tree.make(root)
        tree.finish(root, kernel, image, tests)
    return image


def follow(machine: Emulator, account: Account) -> Run:
    """Take what the guest tells until it is off, or until its time is over; then it is off."""
    began, trouble = time.monotonic(), ""
    try:
        while told := machine.next(began + plan.KERNEL_SECONDS - time.monotonic()):
            account.take(told)
    except TimeoutError:
        trouble = f"ended after {plan.KERNEL_SECONDS:.0f} s"
    finally:
        machine.stop()
    if not account.ended:
        trouble = f"{trouble or WENT_OFF}; last words: {_last_words(machine)!r}"
    return account.run(time.monotonic() - began, trouble)


def _last_words(machine: Emulator) -> str:
    """Return the end of what the guest's kernel and system wrote, such as the words of a panic."""
    lines = [line for line in machine.last().splitlines() if not line.startswith("SEEN ")]
    return "\n".join(filter(None, lines))[-LAST_WORDS:]


def revision() -> str:
    """Return the tree's commit, with a plus when files differ; "" where there is no git."""
    git = shutil.which("git")
    if git is None:
        return ""
    words = [git, "-C", str(tree.ROOT)]
    commit = subprocess.run([*words, "rev-parse", "--short", "HEAD"], stdout=-1, text=True).stdout
    changed = subprocess.run([*words, "status", "--porcelain"], stdout=-1, text=True).stdout
    return commit.strip() + ("+" if commit and changed else "")
