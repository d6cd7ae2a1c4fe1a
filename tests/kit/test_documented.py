from __future__ import annotations

from typing import Any

from deodar.kit.documented import Documented


def _thing() -> str:
    return "a thing"


def test_document_is_made_once_when_asked_for_and_completed() -> None:
    made: list[dict[str, Any]] = []

    def complete(document: dict[str, Any]) -> dict[str, Any]:
        made.append(document)
        return {**document, "servers": [{"url": "/api"}]}

    app = Documented(complete, title="one", version="1")
    app.get("/thing")(_thing)
    assert made == []
    first = app.openapi()
    assert app.openapi() is first
    assert len(made) == 1
    assert first["servers"] == [{"url": "/api"}]
    assert list(first["paths"]) == ["/thing"]
