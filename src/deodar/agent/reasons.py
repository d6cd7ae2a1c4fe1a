"""Why an agent starts, and why it stops, in the words that its events say it in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BY_SERVICE, BY_HAND = "start of the service", "start by hand"
AFTER_HOST = "start after the host went down with the agent running"
AFTER_KILL = "start after the agent was ended by force"
ASKED = "asked to stop"
END_OF_REPLAY = "end of the replay"


def of_start(killed: float | None, environment: Mapping[str, str]) -> str:
    """Return why the agent starts.

    `killed` is when one that did not stop in good order last ran, in s since the epoch.
    """
    if killed is None:
        return BY_SERVICE if "INVOCATION_ID" in environment else BY_HAND  # systemd.exec(5)
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return AFTER_HOST if killed < boot else AFTER_KILL
