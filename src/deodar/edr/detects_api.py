"""The API of alerts ("detects") for external systems, after KATA's.

``GET /kata/scanner/v1/sensors/<id>/detects?detect_type=…&limit=…&token=…``. Facts: KATA's help,
topics 181506 and 181468. The token is, as there, an offset in JSON, written in hexadecimal.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from deodar.edr import web
from deodar.edr.alerts import TECHNOLOGIES
from deodar.edr.errors import BadRequest

if TYPE_CHECKING:
    from starlette.responses import Response

    from deodar.edr.alerts import Alert, Alerts
    from deodar.edr.entrance import Asked

MOST, DEFAULT = 10_000, 1_000
_LIMIT = re.compile(r"[0-9]{1,5}", re.ASCII)
_LONGEST_TOKEN = 200


class _Token(msgspec.Struct):
    offset: Annotated[int, Meta(ge=0, lt=1 << 62)]


async def answer(alerts: Alerts, asked: Asked) -> Response:
    """Answer a request for alerts; raises BadRequest."""
    technologies = _technologies(asked.query.get("detect_type", ""))
    limit = _limit(asked.query.get("limit", ""))
    offset = unseal(asked.query.get("token", ""))
    found = await asyncio.to_thread(alerts.after, offset, limit, technologies)
    last = found[-1].number if found else offset
    return web.answer({"alerts": [_shown(alert) for alert in found], "token": seal(last)})


def seal(offset: int) -> str:
    """Return the token that goes on behind an alert's number."""
    return f'{{"offset": {offset}}}'.encode().hex()


def unseal(token: str) -> int:
    """Return the number behind which a token goes on, 0 for none; raises BadRequest."""
    if not token:
        return 0
    if len(token) > _LONGEST_TOKEN:
        raise BadRequest(f"token is longer than {_LONGEST_TOKEN} characters")
    try:
        return msgspec.json.decode(binascii.unhexlify(token), type=_Token).offset
    except (ValueError, msgspec.DecodeError) as error:
        raise BadRequest(f"token: it is none of this server: {error}") from error


def moment(us: int) -> str:
    """Return a time in µs as ISO 8601, such as 2026-01-01T00:00:00.000Z."""
    text = datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _technologies(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TECHNOLOGIES:
            raise BadRequest(f"detect_type '{name[:40]}' is none of {', '.join(TECHNOLOGIES)}")
    return names


def _limit(text: str) -> int:
    if not text:
        return DEFAULT
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= MOST:
        raise BadRequest(f"limit '{text[:40]}' is no number from 1 to {MOST}")
    return int(text)


def _shown(alert: Alert) -> dict[str, Any]:
    return {
        "alertID": alert.number,
        "eventTimeStamp": moment(alert.event_us),
        "detectTimestamp": moment(alert.detect_us),
        "importance": alert.importance,
        "objectSource": alert.source,
        "technology": alert.technology,
        "objectType": alert.object_type,
        "object": alert.object,
        "detection": alert.detection,
        "details": alert.details,
    }
