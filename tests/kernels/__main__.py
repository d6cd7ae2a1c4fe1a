"""``python -m tests.kernels [KERNEL…]``: the sensors' tests on Debian's stock kernels.

Each kernel boots under an emulator with this tree inside. Prints a table; keeps what came of it
in docs/reference/kernels.seen.json, from which a page is made. Exit code 1 when anything failed
or a kernel could not be had, 2 for wrong use. Needs root.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from tests.kernels import boots, plan, tree
from tests.kernels.page import table
from tests.kernels.results import Kept, Run
from tests.machines.debian import missing

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = tree.ROOT / "docs" / "reference" / "kernels.seen.json"
PROGRAMS = ("qemu-system-x86_64", "cpio", "apt-get", "debootstrap", "chroot")


def main(arguments: Sequence[str]) -> int:
    """Run the kernels, print, keep, return the exit code."""
    options = _parse(arguments)
    if os.geteuid() != 0:
        print("Needs root: it unpacks a Debian with its owners and modes.", file=sys.stderr)
        return 2
    if lacking := missing(*PROGRAMS):
        print(f"Needs {lacking}; run: tools/debian-packages test", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # no machine runs on
    names = options.kernels or list(plan.KERNELS)
    with tempfile.TemporaryDirectory(prefix="kernels-") as place:
        runs = _run_all(names, Path(place), options)
    print(table(runs))
    if options.tests:
        print("Only some tests ran, so this is not kept.")
    return 0 if all(run.good for run in runs.values()) else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help=", ".join(plan.KERNELS))
    parser.add_argument("--tests", nargs="+", default=[], help="other tests than the plan's")
    parser.add_argument("--kept", type=Path, default=KEPT, help="file of results")
    parser.add_argument("--logs", type=Path, help="folder for what came over the serial lines")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.kernels) - set(plan.KERNELS)):
        known = ", ".join(plan.KERNELS)
        parser.error(f"there is no kernel {', '.join(unknown)} in the plan; there are: {known}")
    return options


def _run_all(names: Sequence[str], place: Path, options: argparse.Namespace) -> Kept:
    logs = options.logs or place
    logs.mkdir(parents=True, exist_ok=True)
    runs: Kept = {}
    for name in names:
        print(f"{name}: up to {plan.KERNEL_SECONDS / 60:.0f} minutes …", flush=True)
        runs[name] = boots.run(plan.KERNELS[name], place, logs / f"{name}.log", options.tests)
        _print_run(runs[name])
        if not options.tests:
            keep(options.kept, {name: runs[name]})
    return runs


def _print_run(run: Run) -> None:
    for failure in run.failed:
        print(f"  FAILED {failure.test}\n{failure.said}")
    for text in filter(None, (*run.complaints, run.trouble)):
        print(f"  {text}")
    print(f"  {run.passed} passed, {len(run.failed)} failed, {len(run.skipped)} skipped "
          f"in {run.seconds} s", flush=True)  # fmt: skip


def keep(file: Path, runs: Kept) -> None:
    """Replace these kernels' entries in the file; others stay, each with its own date."""
    before = msgspec.json.decode(file.read_bytes(), type=Kept) if file.is_file() else {}
    merged = before | runs
    ordered = {name: merged[name] for name in plan.KERNELS if name in merged}
    aside = file.with_suffix(".new")
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(ordered)) + b"\n")
    aside.replace(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
