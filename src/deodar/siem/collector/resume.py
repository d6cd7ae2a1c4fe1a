"""Where a collector that starts goes on: behind its last record, in a former stream, or anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from deodar.siem.collector.record import decode

if TYPE_CHECKING:
    from deodar.siem.collector.streams import Streams


class Resumed(NamedTuple):
    """The state to go on from, None to begin anew, and why that is so or "".

    `since_us` is the time before which events of this stream are not wanted, µs since the epoch;
    `begun` whether the journal knows the stream, and with it that time.
    """

    state: str | None
    why: str = ""
    since_us: int = 0
    begun: bool = False


def resume(last_header: bytes, source: str, streams: Streams | None = None) -> Resumed:
    """Return where the stream `source` goes on.

    `last_header` is that of the journal's last record, empty if there was none yet. A stream that
    is left is noted in `streams`. Raises StateError when that cannot be written.
    """
    if not last_header:
        return Resumed(None, "this collector fetches for the first time")
    try:
        header = decode(last_header)
    except msgspec.MsgspecError:
        return Resumed(None, "the journal's last record is not readable")
    if header.source != source:
        return _changed(source, streams, header.source, header.token_after, header.since_us)
    why = "the token was reset" if header.token_after is None else ""
    return Resumed(header.token_after, why, header.since_us, begun=True)


def _changed(
    source: str, streams: Streams | None, former: str, state: str | None, since_us: int
) -> Resumed:
    place = None
    if streams is not None:
        streams.leave(former, state, since_us)
        place = streams.of(source)
    if place is None:
        return Resumed(None, "server address, external id or certificate have changed")
    return Resumed(place.state, "", place.since_us)
