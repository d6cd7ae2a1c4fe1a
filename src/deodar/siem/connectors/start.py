"""Where a stream of events begins: with the history, from now on, or since a time.

An EDR server answers an initial request with the history that it holds, and knows no other choice.
So what is older than wanted comes along, and is dropped after normalizing, and counted: nobody has
to write a filter for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from deodar.kit.errors import SettingsError

WITH_HISTORY = "with history"
FROM_NOW_ON = "from now on"


class Start(NamedTuple):
    """A choice; `time_us` is µs since the epoch, when the text is a time."""

    text: str
    time_us: int = 0

    @classmethod
    def read(cls, text: str) -> Start:
        """Return the choice that a text names; raises SettingsError that tells what there is."""
        wanted = " ".join(text.split()).lower()
        if wanted in (WITH_HISTORY, FROM_NOW_ON):
            return cls(wanted)
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise SettingsError(
                f'{text!r} is none of "{WITH_HISTORY}", "{FROM_NOW_ON}" and a time such as '
                "2026-03-01T12:00:00Z"
            ) from error
        if moment.tzinfo is None:
            raise SettingsError(f"{text!r} names no time zone; add Z for UTC, or +03:00")
        seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        if seconds <= 0:
            raise SettingsError(f"{text!r} is before 1970")
        return cls(text.strip(), round(seconds * 1_000_000))

    def since(self, now_us: int) -> int:
        """Return the time before which events are not wanted, 0 for none; `now_us` is now."""
        return {WITH_HISTORY: 0, FROM_NOW_ON: now_us}.get(self.text, self.time_us)
