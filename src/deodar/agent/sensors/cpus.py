"""How many processors this machine can have."""

from __future__ import annotations

from pathlib import Path


def possible_cpus() -> int:
    """Return one more than the highest CPU number that this machine can have."""
    text = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii")
    return int(text.strip().rpartition(",")[2].rpartition("-")[2]) + 1
