"""Telling the service manager how the agent fares: the few lines of sd_notify(3) that it needs.

A message is one datagram to the socket that ``NOTIFY_SOCKET`` names; an "@" at its begin stands
for the abstract name space. Without that variable, or when nobody listens, nothing is done.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"
"""Has to come within the unit's WatchdogSec, or the agent is taken for hung and started again."""

LONGEST_START = 600.0
PATIENCE = 60.0
"""Seconds for which the manager is asked to wait, again and again, while the agent starts."""


def tell(*lines: str) -> bool:
    """Send lines such as `READY` or "STATUS=…"; returns whether a manager was told."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return False
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.connect("\0" + place[1:] if place[0] == "@" else place)
        channel.send("\n".join(lines).encode())
        return True
    return False


@contextmanager
def starting(every: float = PATIENCE / 3) -> Iterator[None]:
    """Ask the manager for more time as long as the block runs, at most `LONGEST_START` seconds.

    The kernel checks every program of the sensor before it takes it; on a slow or busy host that
    takes longer than a unit's usual limit.
    """
    done = threading.Event()

    def ask() -> None:
        for _ in range(int(LONGEST_START / every)):
            tell(f"EXTEND_TIMEOUT_USEC={int(PATIENCE * 1e6)}")
            if done.wait(every):
                return

    thread = threading.Thread(target=ask, name="starting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
