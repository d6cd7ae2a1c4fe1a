"""How long to stay away from a server after errors: growing, bounded, with jitter.

The randomness is handed in, so that tests repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

LONGEST_RETRY_AFTER = 3600.0
_STEPS = 16


@dataclass(frozen=True)
class Backoff:
    """Waits of `first` seconds, doubled each time up to `longest`; by chance up to half less."""

    first: float = 1.0
    longest: float = 60.0

    def delay(self, failures: int, random: Random) -> float:
        """Return the seconds to wait after that many failures in a row (at least 1)."""
        ceiling = min(self.longest, self.first * 2.0 ** min(max(failures, 1) - 1, _STEPS))
        return ceiling * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the server's ``Retry-After`` in seconds (0 to 3,600), or None without a usable one.

    A date is read against the answer's own ``Date``, so that no clock is compared with another's.
    Header names are lower case. Source: RFC 9110, 10.2.3.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(text)
        seconds = (until - parsedate_to_datetime(headers.get("date", ""))).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
