"""Where a collector was with servers, ids and certificates that it used before.

The journal knows the present stream. When settings change to another one, the place in the former
is kept here, ``streams.json``, so that a change back goes on and does not fetch history again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

FILE = "streams.json"
MOST = 16
"""Streams that are remembered; the one that was left first is forgotten first."""


class Place(msgspec.Struct, frozen=True):
    """A place in a stream: the state to go on from, and since when its events are wanted."""

    state: str
    since_us: int = 0


class Streams:
    """The places in former streams."""

    def __init__(self, home: StateDirectory) -> None:
        """Read the file; one that cannot be read counts as empty: then history comes again."""
        self._home = home
        self._places: dict[str, Place] = {}
        if home.has(FILE):
            try:
                self._places = msgspec.json.decode(home.read(FILE), type=dict[str, Place])
            except msgspec.MsgspecError:
                self._places = {}

    def of(self, source: str) -> Place | None:
        """Return the place in a stream that was left, None for one that was never followed."""
        return self._places.get(source)

    def leave(self, source: str, state: str | None, since_us: int) -> None:
        """Keep the place in a stream; without a state there is none, and it begins anew next time.

        Durable when this returns. Raises StateError when the disk refuses.
        """
        rest = {name: place for name, place in self._places.items() if name != source}
        if state is not None:
            rest[source] = Place(state, since_us)
        self._places = dict(list(rest.items())[-MOST:])
        self._home.write(FILE, msgspec.json.encode(self._places))
