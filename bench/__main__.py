"""``python -m bench [NAME…]``: run the benchmarks, each in a process of its own, and print a table.

Each benchmark is a module here with ``main()``; run alone it prints its measurements as JSON lines.
"""

from __future__ import annotations

import subprocess
import sys

import msgspec
from rich.console import Console

from bench.report import Line, table

NAMES = (
    "normalization", "ingest", "events_api", "whole_way", "agent_path", "agent_cost", "calls_cost",
    "files_flood", "agent_idle", "hashing",
)  # fmt: skip
LONGEST = 1800


def main(names: list[str]) -> int:
    """Run the named benchmarks, all if none is named; returns the number that failed."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    lines: list[Line] = []
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
        lines += [msgspec.json.decode(line, type=Line) for line in ran.stdout.splitlines()]
    console.print(table(lines))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
