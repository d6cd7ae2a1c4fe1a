"""The little that the connector must know of an answer's body before it is put into the journal.

That is the next token, whether there are events, and the text of an error. Events stay unread here:
the journal keeps the body as it came. An answer of which one event is broken JSON still has its
token at its head or its tail, and with that the stream goes on; the rest is for the normalizer.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

LONGEST_TOKEN = 32_768
_ERROR_SHOWN = 2_000

_STRING = rb'"(?:[^"\\\x00-\x1f]|\\.){1,32768}"'
_AT_HEAD = re.compile(rb'^\s*\{\s*"continuationToken"\s*:\s*(' + _STRING + rb")\s*,")
_AT_TAIL = re.compile(rb'[,{]\s*"continuationToken"\s*:\s*(' + _STRING + rb")\s*\}\s*$")
_TAIL_BYTES = 2 * LONGEST_TOKEN
_LONGEST_EMPTY = 4_096


class _Envelope(msgspec.Struct):
    continuationToken: str | None = None  # noqa: N815 - the name on the wire
    events: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True)
class Summary:
    """What one body says.

    `problem` is empty when the body is an events answer; equal bodies have equal marks; `error` is
    the text of an error answer.
    """

    token: str | None = None
    has_events: bool = False
    problem: str = ""
    error: str = ""
    mark: str = ""


def summarize(status: int, body: bytes) -> Summary:
    """Return what a body says; never raises, whatever the bytes are."""
    if status != 200:
        return Summary(error=error_text(body))
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _broken(body, str(error))
    token = envelope.continuationToken or ""
    events = memoryview(envelope.events)
    problem = _token_problem(token) or _events_problem(bytes(events[:1]))
    mark = _digest(body) if problem else f"{token}:{len(body)}"
    return Summary(token or None, _any(events), problem, mark=mark)


def _broken(body: bytes, reason: str) -> Summary:
    token = _stray_token(body)
    mark = _digest(body)
    if not token:
        return Summary(problem=f"not an object with events and a token: {reason}", mark=mark)
    return Summary(token, has_events=True, problem=_token_problem(token), mark=mark)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _stray_token(body: bytes) -> str:
    found = _AT_TAIL.search(body[-_TAIL_BYTES:]) or _AT_HEAD.match(body[:_TAIL_BYTES])
    try:
        return str(json.loads(found[1])) if found else ""
    except ValueError:
        return ""


def _token_problem(token: str) -> str:
    if not token:
        return "there is no continuationToken in it"
    try:
        length = len(quote(token))
    except UnicodeEncodeError:
        return "its continuationToken is not valid text"
    if length > LONGEST_TOKEN:
        return f"its continuationToken takes more than {LONGEST_TOKEN} characters in a URL"
    return ""


def _events_problem(first: bytes) -> str:
    return "" if first in (b"[", b"n") else "its events are not a list"


def _any(events: memoryview) -> bool:
    """Whether a list or null has elements; a long one is not copied to look for blanks."""
    if len(events) > _LONGEST_EMPTY:
        return True
    return bytes(events).strip(b"[] \t\r\nnul") != b""


def error_text(body: bytes) -> str:
    """Return the text of an error answer: its ``error`` or ``message`` value, or all of it."""
    text = body[:_ERROR_SHOWN].decode("utf-8", "replace").strip()
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(decoded, dict):
        for key in ("error", "message", "detail"):
            if isinstance(decoded.get(key), str):
                return str(decoded[key])
    return text
