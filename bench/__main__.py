"""``python -m bench [NAME…]``: run the benchmarks, each in a process of its own, and print a table.

Each benchmark is a module here with ``main()``; run alone it prints its measurements as JSON lines.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from bench.report import Line, table

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = (
    "normalization", "pipeline", "ingest", "events_api", "whole_way", "agent_path", "agent_cost",
    "calls_cost", "files_flood", "agent_idle", "hashing",
)  # fmt: skip
LONGEST = 1800


def main(names: list[str]) -> int:
    """Run the named benchmarks, all if none is named; returns the number that failed."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    failed = 0
    for name in names or NAMES:
        console.print(f"Running {name} …", style="dim")
        ran = subprocess.run(
            [sys.executable, "-m", f"bench.{name}"],
            stdout=subprocess.PIPE,
            timeout=LONGEST,
            check=False,
        )
        failed += ran.returncode != 0
        console.print(table(measurements(ran.stdout.splitlines(), console)))
    return failed


def measurements(output: list[bytes], console: Console) -> Iterator[Line]:
    """Yield the measurements among what a benchmark printed; anything else is printed as it is."""
    for line in output:
        try:
            yield msgspec.json.decode(line, type=Line)
        except msgspec.MsgspecError:
            console.print(line.decode(errors="replace"), markup=False, style="red")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
