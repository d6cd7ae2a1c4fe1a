r"""The normalizer ``raw``: the text of each event as it came, with where and when it came from.

``Message`` has its beginning, ``Raw`` up to 16 KB of it; of a longer one ``Extra`` has all, under
``Message``. Bytes that are no UTF-8 are shown as ``\xNN``. A source that is an IP address goes to
``DeviceAddress``, any other, such as the path of a file, to ``Extra`` under ``Source``.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from deodar.siem.normalizers.base import arrived
from deodar.siem.normalizers.rows import outcome
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.columnar.decoding import Buffer
    from deodar.columnar.program import Outcome

_MESSAGE = MODEL["Message"].max_length or 0
_RAW = MODEL["Raw"].max_length or 0


class RawNormalizer:
    """Keeps every event; none is refused."""

    def run(self, events: Sequence[Buffer]) -> Outcome:
        """Return a row for each event."""
        given = arrived(events)
        rows = [_row(*one) for one in zip(given.events, given.sources, given.times_us, strict=True)]
        return outcome(rows, list(range(len(rows))), [])


def _row(event: bytes, source: str, time_us: int) -> dict[str, Any]:
    text = event.decode("utf-8", "backslashreplace")
    row: dict[str, Any] = {"Message": text[:_MESSAGE], "Raw": text}
    extra: dict[str, str] = {}
    if len(event) > _RAW or len(text) > _RAW:
        row["Raw"] = text.encode()[:_RAW].decode("utf-8", "ignore")
        extra["Message"] = text
    if source and is_address(source):
        row["DeviceAddress"] = source
    elif source:
        extra["Source"] = source
    if time_us:
        row["Timestamp"] = row["DeviceReceiptTime"] = time_us // 1000
    return row | {"Extra": extra} if extra else row


@lru_cache(maxsize=4096)
def is_address(text: str) -> bool:
    """Whether a text is an IP address, an IPv6 zone allowed."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
