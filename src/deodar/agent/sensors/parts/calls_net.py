"""Records of the part `calls` about sockets, terminals and pipes: numbers 40 to 55."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

KINDS: dict[int, str] = {}
DECODERS: dict[int, Callable[[Buffer, int, int, int], Record]] = {}
