"""Metrics: one registry per program, shown in Prometheus's text format.

A program makes a `CollectorRegistry`, gives it to its parts, and serves `metrics_app(registry)` on
its local socket or another listener.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

__all__ = ["CollectorRegistry", "metrics_app"]


def metrics_app(registry: CollectorRegistry) -> App:
    """Return an ASGI application that answers every GET with the registry's present values."""

    async def app(scope: Message, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        allowed = scope["method"] in ("GET", "HEAD")
        # In a thread: a part may have to ask a database for its values.
        body = await asyncio.to_thread(generate_latest, registry) if allowed else b"use GET\n"
        headers = [
            (b"content-type", CONTENT_TYPE_LATEST.encode() if allowed else b"text/plain"),
            (b"content-length", str(len(body)).encode()),
        ]
        status = 200 if allowed else 405
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
