"""Telling the service manager how the agent fares: the few lines of sd_notify(3) that it needs.

A message is one datagram to the socket that ``NOTIFY_SOCKET`` names; an "@" at its begin stands
for the abstract name space. Without that variable, or when nobody listens, nothing is done.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"
"""Has to come within the unit's WatchdogSec, or the agent is taken for hung and started again."""


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
