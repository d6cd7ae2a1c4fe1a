"""What a benchmark reports, and how it is printed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Line(msgspec.Struct, frozen=True):
    """One measurement; `ratio` is its value divided by that of `against`, from the same run."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""


def table(lines: Iterable[Line]) -> Table:
    """Return the measurements as a table for people."""
    made = Table("what", "value", "unit", "ratio", "against", title="Benchmarks")
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        value = f"{line.value:,.0f}" if line.value >= 100 else f"{line.value:.2f}"
        made.add_row(line.what, value, line.unit, ratio, line.against)
    return made


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile and the largest of some values."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": ordered[round(last * 0.5)],
        "p95": ordered[round(last * 0.95)],
        "p99": ordered[round(last * 0.99)],
        "max": ordered[last],
    }


def resident_mb(pid: int) -> float:
    """Return the memory that a process has resident, in MB (2**20 bytes)."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:  # noqa: PTH123  # a pseudo file
        pages = int(statm.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123  # a pseudo file
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
