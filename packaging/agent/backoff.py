"""Longer and longer waits between starts of a service that fails: what systemd 252 cannot do.

The unit runs `wait` before the agent and `count` after it. How often it failed in a row is in the
unit's runtime folder, which stays over restarts and goes when the service is stopped.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

RUN = Path(os.environ.get("RUNTIME_DIRECTORY", "/run/deodar-agent"))
STARTED, FAILURES = RUN / "started", RUN / "failures"
LONGEST_WAIT = 60.0
LONG_LIFE = 600.0
"""Seconds after which an end counts as a first one."""


def wait() -> None:
    """Wait two seconds after a first failure, twice as long after each further one."""
    if failures := _failures():
        seconds = min(LONGEST_WAIT, 2.0 ** min(failures, 10))
        sys.stderr.write(f"{failures} failure(s) in a row: waiting {seconds:.0f} s\n")
        time.sleep(seconds)
    STARTED.touch()


def count() -> None:
    """Count a failure, or forget those before."""
    if os.environ.get("SERVICE_RESULT", "success") == "success":
        FAILURES.unlink(missing_ok=True)
        return
    lived = time.time() - STARTED.stat().st_mtime if STARTED.exists() else 0.0
    before = 0 if lived > LONG_LIFE else _failures()
    FAILURES.write_text(str(before + 1), encoding="ascii")


def _failures() -> int:
    try:
        return int(FAILURES.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    {"wait": wait, "count": count}[sys.argv[1]]()
