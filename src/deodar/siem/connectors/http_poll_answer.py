"""What the answer of a polled service says: its events, and where to go on.

No I/O. A path leads into JSON by names and numbers with dots between: ``data.items.0.id``.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import msgspec

Cursor = Literal["none", "json", "header", "event", "link"]

_LINK = re.compile(r"<([^>]*)>([^,<]*)")
_NEXT = re.compile(r""";\s*rel\s*=\s*"?(?:[^";]*\s)?next[\s";]""", re.IGNORECASE)


class Unreadable(ValueError):  # noqa: N818
    """The answer is not what the settings say."""


class Place(msgspec.Struct, frozen=True):
    """Where the connector is: the cursor or the URL to ask next, and what it took there.

    `page` is the digest of the last body; of a page that may grow, `taken` events are taken.
    """

    cursor: str = ""
    url: str = ""
    page: str = ""
    taken: int = 0


class Answer(msgspec.Struct, frozen=True):
    """The events of an answer in their order, the cursor behind them ("" if there is none)."""

    events: list[bytes]
    cursor: str = ""
    more: bool = False


def json_answer(
    body: bytes, events_path: str, cursor: Cursor, cursor_path: str, more_path: str
) -> Answer:
    """Return what a JSON body says; raises Unreadable."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the answer is no JSON: {error}") from error
    found = lookup(value, events_path)
    if found is None:
        found = []
    if not isinstance(found, list):
        raise Unreadable(f"the answer has no list at {events_path or 'its root'}")
    events = [msgspec.json.encode(one) for one in found]
    where = {"json": value, "event": found[-1] if found else None}.get(cursor)
    more = lookup(value, more_path) if more_path else None
    return Answer(events, _text(lookup(where, cursor_path)), bool(more))


def lookup(value: Any, path: str) -> Any:
    """Return what is at a path, None if there is nothing; the value itself for an empty path."""
    for part in filter(None, path.split(".")):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _text(value: Any) -> str:
    if value is None or isinstance(value, dict | list | bool):
        return ""
    return str(value)


def next_link(header: str, asked: str) -> str:
    """Return the URL with the relation "next" of a Link header (RFC 8288), "" if there is none.

    Raises Unreadable when it leads to another server, which must not get our credentials.
    """
    for target, parameters in _LINK.findall(header):
        if _NEXT.search(f"{parameters};"):
            url = str(urljoin(asked, target))
            if _origin(url) != _origin(asked):
                raise Unreadable(f"the next link leads to another server: {url}")
            return url
    return ""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    ports = {"http": 80, "https": 443}
    return parts.scheme, parts.hostname, parts.port or ports.get(parts.scheme)


def digest(body: bytes) -> str:
    """Return what a body is known by again."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()
