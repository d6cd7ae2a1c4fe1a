"""The running server's local socket: status, metrics, imports.

Only the owner of the server's folder can open the socket, so nothing is asked for here.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from deodar import __version__
from deodar.edr import importer, web
from deodar.edr.backup.events import StoreSource
from deodar.edr.errors import ControlDataError, LogUnavailable
from deodar.edr.ingest import Ingest, Origin, Receipt, TooManyEvents
from deodar.edr.progress import standings
from deodar.kit.body import BodyError, read_body
from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.requests import Request

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.edr.external_systems import Register
    from deodar.edr.log.view import View
    from deodar.edr.nodes.node import Node

_ARROW = "application/vnd.apache.arrow.stream"
_BODY = importer.CHUNK_BYTES + importer.LONGEST_LINE


class Status(msgspec.Struct, frozen=True):
    """What the running server tells of itself; counts are since its start, but for `last_seq`."""

    version: str
    pid: int
    url: str
    server_id: str
    last_seq: int
    events: int
    packets: int
    queued: int
    waiting_requests: int
    dead_letters: int
    dead_letters_dropped: int
    failure: str | None
    node: str = ""
    """The node's name where several servers share the log."""
    term: int = 0
    """The term in which it writes that log, 0 when another node does."""


@dataclass
class Parts:
    """What the status is read from."""

    server_id: str
    log: View
    ingest: Ingest
    dead_letters: DeadLetterStore
    register: Register
    registry: CollectorRegistry
    node: Node | None = None
    url: str = ""

    def status(self) -> Status:
        """Return how the server does."""
        counters = self.log.counters
        return Status(
            version=__version__,
            pid=os.getpid(),
            url=self.url,
            server_id=self.server_id,
            last_seq=self.log.voids.before(self.log.watermark.value),
            events=counters.events,
            packets=counters.packets,
            queued=self.log.queued,
            waiting_requests=self.log.watermark.waiting,
            dead_letters=self.dead_letters.count,
            dead_letters_dropped=self.dead_letters.dropped,
            failure=self.log.failure,
            node=self.node.presence.name if self.node else "",
            term=self.node.view.writes if self.node else 0,
        )


def control_app(parts: Parts) -> Starlette:
    """Return the application for the local socket."""
    control = _Control(parts)
    return Starlette(
        routes=[
            Route("/status", control.status, methods=["GET"]),
            Route("/import", control.take, methods=["POST"]),
            Route("/metrics", control.metrics, methods=["GET"]),
            Route("/log/rows", control.log_rows, methods=["GET"]),
            Route("/log/next", control.log_next, methods=["GET"]),
            Route("/log/epochs", control.log_epochs, methods=["GET"]),
            Route("/external-systems", control.external_systems, methods=["GET"]),
        ]
    )


class _Control:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._source = StoreSource(parts.log.reader)

    async def status(self, _request: Request) -> Response:
        return web.answer(self._parts.status())

    async def metrics(self, _request: Request) -> Response:
        # In a thread: the external systems' share comes from the database and the store.
        text = await asyncio.to_thread(generate_latest, self._parts.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def external_systems(self, _request: Request) -> Response:
        """Tell how far each external system has got."""
        try:
            found = await asyncio.to_thread(standings, self._parts.register, self._parts.log)
        except ControlDataError as error:
            return web.refusal(503, str(error), 5)
        return web.answer(found)

    async def log_rows(self, request: Request) -> Response:
        """Give some rows of the log, for a backup."""
        try:
            after, upto = (int(request.query_params[name]) for name in ("after", "upto"))
            rows = await asyncio.to_thread(self._source.rows, after, upto)
        except (ValueError, KeyError) as error:
            return web.refusal(400, f"bad parameters: {error}")
        except StoreError as error:
            return web.refusal(503, str(error), 2)
        return Response(rows, media_type=_ARROW)

    async def log_next(self, request: Request) -> Response:
        """Tell behind which number the next event is, for a backup: numbers may have gaps."""
        try:
            after = int(request.query_params["after"])
        except (ValueError, KeyError) as error:
            return web.refusal(400, f"bad parameters: {error}")
        return web.answer(self._source.next_after(after))

    async def log_epochs(self, _request: Request) -> Response:
        """Give the log's epochs, for a backup."""
        try:
            epochs = await asyncio.to_thread(self._source.epochs)
        except StoreError as error:
            return web.refusal(503, str(error), 2)
        return Response(epochs, media_type=_ARROW)

    async def take(self, request: Request) -> Response:
        """Take one part of an import."""
        try:
            origin, too_long = _origin(request)
            body = await read_body(request.stream(), None, max_wire=_BODY, max_plain=_BODY)
            return web.answer(await take_chunk(self._parts.ingest, origin, body, too_long=too_long))
        except (ValueError, KeyError) as error:
            return web.refusal(400, f"bad parameters: {error}")
        except (BodyError, TooManyEvents) as error:
            return web.refusal(413, str(error))
        except LogUnavailable as error:
            return web.refusal(error.status, str(error), error.retry_after)
        except OSError as error:
            return web.refusal(503, str(error), 2)
        except ClientDisconnect:
            return Response(status_code=499)


async def take_chunk(ingest: Ingest, origin: Origin, body: bytes, *, too_long: bool) -> Receipt:
    """Take a part of an import and return the receipt."""
    if too_long:
        limit = importer.LONGEST_LINE
        return await ingest.bury(origin, f"the line is longer than {limit} bytes", body)
    return await ingest.take(origin, body)


def _origin(request: Request) -> tuple[Origin, bool]:
    given = request.query_params
    origin = Origin(
        given["source"][:128], int(given["packet"]), first_line=int(given["first_line"])
    )
    return origin, given.get("too_long") == "1"
