"""The API's OpenAPI document for docs/reference."""

from __future__ import annotations

import json

from deodar.siem.services.api.app import make


def page() -> str:
    """Return the document as text."""
    return json.dumps(make().openapi(), indent=1, ensure_ascii=False) + "\n"
