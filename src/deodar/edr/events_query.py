"""The parameters of a request for events, and what is wrong with them.

Known parameters are ``filter``, ``max_timeout``, ``max_events`` and ``continuation_token``; others
are ignored. An empty value counts as none, and a ``max_events`` of 0 as the server's own value.
The texts of errors are those that KATA's clients are known to log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

from deodar.edr import durations
from deodar.edr.errors import BadRequest, DurationError

if TYPE_CHECKING:
    from deodar.edr.settings import EventsApi

_TAIL = re.compile(rb"events=?(?:[&?](?P<query>.*))?", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class EventsQuery:
    """A request for at most `max_events` events within `timeout` seconds."""

    max_events: int
    timeout: float
    filter: str = ""
    token: str = ""


def parameters(tail: bytes, query: bytes) -> dict[str, str] | None:
    """Return the parameters from the URL's path behind the system's id, and from its query.

    The vendor's examples also show them behind ``events&`` and ``events=?``, which is understood.
    Returns None when the path is not that of the events. Raises BadRequest for text that is not
    UTF-8.
    """
    matched = _TAIL.fullmatch(tail)
    if matched is None:
        return None
    texts = filter(None, (matched["query"], query))
    joined = b"&".join(texts)
    try:
        unquote_to_bytes(joined).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the parameters are not UTF-8: {error.reason}") from error
    return dict(parse_qsl(joined.decode("latin-1"), keep_blank_values=True))


def parse(given: dict[str, str], settings: EventsApi) -> EventsQuery:
    """Return the checked parameters; raises BadRequest, which names the parameter."""
    text = given.get("filter", "").strip()
    if len(text) > settings.max_filter_length:
        raise BadRequest(f"filter is longer than {settings.max_filter_length} characters")
    return EventsQuery(
        max_events=_max_events(given.get("max_events", ""), settings),
        timeout=_timeout(given.get("max_timeout", ""), settings),
        filter=text,
        token=given.get("continuation_token", "").strip(),
    )


def _max_events(text: str, settings: EventsApi) -> int:
    if text == "":
        return settings.max_events
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"max_events '{text[:40]}' is not a number of events")
    count = int(text)
    if count > settings.max_events:
        raise BadRequest(f"max_events {count} is greater than the allowed value")
    return count or settings.max_events


def _timeout(text: str, settings: EventsApi) -> float:
    if text == "":
        return settings.fetch_timeout
    try:
        seconds = durations.parse(text)
    except DurationError as error:
        raise BadRequest(f"max_timeout: {error}") from error
    if seconds > settings.max_fetch_timeout:
        raise BadRequest(f"max_timeout {text} is greater than the allowed value")
    return seconds
