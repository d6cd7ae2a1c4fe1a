"""The API's OpenAPI document: what FastAPI makes of the code, with how to show who one is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deodar.edr.api.access import COOKIE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deodar.edr.api.operations import Operation

_SCHEMES = {
    "apiToken": {"type": "http", "scheme": "bearer", "description": "An API token."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A session."},
}
PREFIX = "/api/v1"


def completed(document: dict[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document with the role that each operation needs and how to log in."""
    document["components"]["securitySchemes"] = _SCHEMES
    document["servers"] = [{"url": PREFIX}]
    for one in operations:
        told = document["paths"][one.path][one.method.lower()]
        told["x-required-role"] = one.role
        told["security"] = [{"apiToken": []}, {"session": []}] if one.role else []
    return document


def page() -> str:
    """Return the document for docs/reference."""
    from deodar.edr.api.app import make  # noqa: PLC0415  # which needs this module

    document: dict[str, Any] = make().openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
