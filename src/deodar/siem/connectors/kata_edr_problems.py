"""What can go wrong with a request to the events API, recognised by status and text.

The texts are those that KATA's events API is known to answer with and KUMA's collector to log. The
statuses that belong to them are not documented, so the text decides before the status does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.siem.connectors.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENT = Backoff(first=1.0, longest=60.0)
EXPECTANT = Backoff(first=0.5, longest=5.0)
_TEXT_SHOWN = 300


@dataclass(frozen=True)
class Problem:
    """One recognised error.

    `standing` errors turn the connector yellow at once, since nothing but an administrator ends
    them; the others do so only when they repeat. `shrink` asks for smaller answers.
    """

    kind: str
    reason: str
    remedy: str = ""
    standing: bool = False
    shrink: bool = False
    backoff: Backoff = field(default=PATIENT)


@dataclass(frozen=True)
class _Rule:
    kind: str
    applies: Callable[[int, str], bool]
    reason: str
    remedy: str
    standing: bool = True
    backoff: Backoff = PATIENT


def _says(pattern: str) -> Callable[[int, str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda _status, text: compiled.search(text) is not None


def _is(*statuses: int) -> Callable[[int, str], bool]:
    return lambda status, _text: status in statuses


_RULES = (
    _Rule(
        "token_lost",
        _says(r"continuation token not found"),
        "Continuation token not found: {text}",
        "the server has forgotten where this collector was, and events may be missing since then; "
        "to begin anew with the history that the server still holds, run: "
        "deodar siem collector reset-token NAME; without what is older than now: the same with "
        '--start "from now on"',
    ),
    _Rule(
        "max_events",
        _says(r"max_events \d* ?is greater than the allowed value"),
        "{text}",
        "lower max_events in collector.toml, or set it to 0 for the server's own value",
    ),
    _Rule(
        "conflict",
        lambda status, text: status == 409 or text.startswith("Conflict:"),
        "{text}",
        "the server knows this address and certificate under another external id: delete that "
        "external system there, or give the connector a new certificate: "
        "deodar siem collector new-certificate NAME",
    ),
    _Rule(
        "unauthorized",
        _is(401, 403),
        "waiting for authorization ({text})",
        "accept this external system on the EDR server, and compare the certificate's fingerprint",
        backoff=EXPECTANT,
    ),
    _Rule(
        "redirect",
        lambda status, _text: 300 <= status < 400,
        "the server redirects ({status}), which is not followed",
        "put the EDR server's own address into connector.urls",
    ),
    _Rule(
        "not_found",
        _is(404, 405),
        "there is no events API at this address ({status}: {text})",
        "check host and port in connector.urls",
    ),
    _Rule(
        "busy",
        _is(408, 425, 429, 503),
        "the server is busy ({status}: {text})",
        "",
        standing=False,
    ),
    _Rule(
        "bad_request",
        lambda status, _text: 400 <= status < 500,
        "the server refuses the request ({status}: {text})",
        "check filter, max_timeout and max_events in collector.toml",
    ),
    _Rule(
        "server_error",
        lambda _status, _text: True,
        "the server failed ({status}: {text})",
        "",
        standing=False,
    ),
)


def recognise(status: int, text: str) -> Problem:
    """Return what an answer other than 200 means; `text` is its error text, perhaps empty."""
    rule = next(rule for rule in _RULES if rule.applies(status, text))
    shown = " ".join(text.split())[:_TEXT_SHOWN] or "no text"
    reason = rule.reason.replace("{status}", str(status)).replace("{text}", shown)
    return Problem(rule.kind, reason, rule.remedy, standing=rule.standing, backoff=rule.backoff)


def unreachable(kind: str, reason: str) -> Problem:
    """Return what a request without an answer means.

    `kind` is network, timeout, tls, size, protocol, or changed: a server that was trusted on first
    use shows another certificate.
    """
    remedies = {
        "tls": "check connector.pins or connector.ca against the server's certificate",
        "changed": "compare the fingerprint with the server's own; if its certificate was renewed, "
        "run: deodar siem collector forget-server NAME, and start the collector again",
        "protocol": "kata/edr needs HTTP/1.1 over TLS: allow it on the server or on the proxy "
        "before it, or correct host and port in connector.urls",
        "size": "smaller answers are asked for; raise connector.max_body_bytes if it stays",
    }
    return Problem(
        kind,
        reason,
        remedies.get(kind, ""),
        standing=kind in ("tls", "changed", "protocol"),
        shrink=kind in ("timeout", "size"),
    )


def misshapen(reason: str) -> Problem:
    """Return what a 200 means whose body is not an events answer."""
    return Problem(
        "shape",
        f"the answer cannot be used: {reason}",
        "the body is kept among the dead letters; smaller answers are asked for",
        shrink=True,
    )


def no_progress(reason: str) -> Problem:
    """Return what a 200 means whose token leads back to where the collector already was."""
    return Problem(
        "no_progress",
        reason,
        "its events are not taken, since they would come again and again; the body is kept among "
        "the dead letters. Ask the server's administrator, or run: "
        "deodar siem collector reset-token NAME",
        standing=True,
    )
