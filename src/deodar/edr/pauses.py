"""A pause for callers who are refused again and again, since KATA's clients repeat at once.

A refused request costs about as much as an answer without events, and a client that waits for no
moment between two requests would keep a processor busy. Who was refused within the last second
waits a little before the next decision, which is made after the pause and so is never an old one.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

PAUSE = 0.25
REMEMBERED_FOR = 1.0
MOST_CALLERS = 4096


class Pauses:
    """Who was refused lately. Used within one event loop."""

    def __init__(self) -> None:
        self._refused: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many callers are remembered."""
        return len(self._refused)

    async def before(self, caller: Hashable) -> None:
        """Wait, if this caller was refused just now."""
        refused = self._refused.get(caller)
        if refused is not None and time.monotonic() - refused < REMEMBERED_FOR:
            await asyncio.sleep(PAUSE)

    def note(self, caller: Hashable) -> None:
        """Remember that a caller was refused; those of the longest time ago are forgotten."""
        self._refused[caller] = time.monotonic()
        self._refused.move_to_end(caller)
        if len(self._refused) > MOST_CALLERS:
            self._refused.popitem(last=False)
