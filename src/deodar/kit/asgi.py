"""Small pieces round ASGI applications that read a request's body before the application does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Send


def guarded(send: Send) -> Send:
    """Return a `send` that lets nobody keep an answer or take it for something else."""

    async def careful(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        await send(message)

    return careful


def once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first, and then what else there is."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return rest.pop() if rest else await receive()

    return next_message
