"""Noticing that events of an EDR server may be missing.

The events API has no numbers in which a gap would show. Two things tell of one. The server says
that it no longer knows the token: what came since that token is missing. Or no answer came for
longer than a server holds new events for an external system, which is two hours with KATA: what
came at the beginning of that time may be missing.
"""

from __future__ import annotations

HELD_SECONDS = 7_200.0


class Gaps:
    """Watches one stream; times are seconds since the epoch."""

    def __init__(self, last_answer: float = 0.0) -> None:
        """`last_answer` is when the stream's last answer came, 0 for never."""
        self._last_answer = last_answer
        self._lost = False

    def answered(self, now: float, *, resumed: bool) -> str:
        """Note an answer; returns what may be missing before it, or "".

        `resumed` tells whether it was asked for with a token.
        """
        before, self._last_answer, self._lost = self._last_answer, now, False
        away = now - before
        if resumed and before and away > HELD_SECONDS:
            return (
                f"no answer came for {away / 3600:.1f} hours, and a server holds new events for "
                "two: the first of that time may be missing"
            )
        return ""

    def token_lost(self, now: float) -> str:
        """Note that the server no longer knows the token; returns what is missing, once."""
        if self._lost:
            return ""
        self._lost = True
        since = f" of the last {(now - self._last_answer) / 60:.0f} minutes"
        return f"events{since if self._last_answer else ''} are missing: the server lost the token"
