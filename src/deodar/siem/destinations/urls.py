"""Which of several URLs is tried first: any that works, the first, or each in turn.

A URL that failed is tried last for a while, whatever the policy. No I/O here; the clock is handed
in.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Policy = Literal["any", "prefer_first", "round_robin"]
REST_SECONDS = 10.0


def is_url(url: str) -> bool:
    """Whether a text is an http or https URL."""
    if any(character.isspace() for character in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class Urls:
    """The URLs of one destination."""

    def __init__(
        self,
        urls: Sequence[str],
        policy: Policy = "any",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = tuple(urls)
        self._policy = policy
        self._clock = clock
        self._first = 0
        self._resting: dict[str, float] = {}

    def order(self) -> list[str]:
        """Return all URLs, in the order in which they are to be tried for one batch."""
        turned = [*self._urls[self._first :], *self._urls[: self._first]]
        if self._policy == "round_robin":
            self._first = (self._first + 1) % len(self._urls)
        now = self._clock()
        return sorted(turned, key=lambda url: self._resting.get(url, 0.0) > now)

    def worked(self, url: str) -> None:
        """Note that a URL took something."""
        self._resting.pop(url, None)
        if self._policy == "any":
            self._first = self._urls.index(url)

    def failed(self, url: str) -> None:
        """Note that a URL did not."""
        self._resting[url] = self._clock() + REST_SECONDS
