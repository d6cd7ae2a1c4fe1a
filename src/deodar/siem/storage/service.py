"""The storage service: collectors hand over batches, each is stored once, whatever is repeated.

``POST /storage/v1/batches/<batch id>`` with an Arrow IPC stream, over mutual TLS by a certificate
that this SIEM issued and still lets in, which is checked before a byte of the body is read. A batch
is inserted by itself, with its id as deduplication token, so a repeat is answered like the first
time. Answers: 200 ``{"rows": n}`` once durable; 400 for what is in the batch, 403 for who sends it,
413, and 503 with ``Retry-After`` for what passes.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from deodar.kit.body import BodyError, BodyTooSlow, read_body
from deodar.kit.logging import logger
from deodar.siem.errors import BatchRejected, ControlDataError, NotAdmitted
from deodar.siem.storage.wire import read_batch
from deodar.store.errors import QueryError, QueryLimit, StoreError
from deodar.tls.certificates import subject_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from deodar.siem.services.gate import Gate
    from deodar.siem.settings import StorageSettings
    from deodar.store.engine import Engine

PREFIX = "/storage/v1/batches/"
TABLE = "events"
RETRY_SECONDS = 1
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# ClickHouse's numbers for errors that lie in the data: cannot parse, no such column, type
# mismatch, illegal type, cannot convert, null for a column that takes none.
_DATA_ERRORS = {6, 16, 43, 53, 70, 349}
_log = logger("siem.storage")


class StorageService:
    """The ASGI application. `stored` counts rows; `batches` and `refused`, for their content, count
    batches; `failed` counts tries that the store did not take; `waiting` are batches in hand.
    """  # noqa: D205

    def __init__(self, engine: Engine, gate: Gate, settings: StorageSettings) -> None:
        self._engine = engine
        self._gate = gate
        self._settings = settings
        self._committing = asyncio.Lock()
        self.waiting = 0
        self._columns: Mapping[str, str] = table_columns(engine)
        self.stored = self.batches = self.refused = self.failed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path: str = scope["path"]
        if not path.startswith(PREFIX):
            return _text(404, "there is nothing here; batches go to /storage/v1/batches/<id>")
        if scope["method"] != "POST":
            return _text(405, "only POST is known here")
        try:
            holder = await self._gate.admit(scope.get("client_certificate"))
        except NotAdmitted as error:
            return _text(403, str(error))
        except ControlDataError as error:
            _log.error("the database of services does not answer", reason=str(error))
            return _busy("the core's database does not answer")
        if holder.disabled:
            return _busy(f"the service {holder.name} is disabled")
        batch_id = path.removeprefix(PREFIX)
        if not _ID.fullmatch(batch_id):
            return _text(400, "a batch id has 1 to 128 letters, digits and . _ -")
        if self.waiting >= self._settings.waiting:
            return _busy("other batches wait already")
        self.waiting += 1
        try:
            return await self._store(batch_id, scope, receive)
        finally:
            self.waiting -= 1

    async def _store(self, batch_id: str, scope: Scope, receive: Receive) -> Response:
        largest = self._settings.max_batch_bytes
        try:
            request = Request(scope, receive)
            encoding = request.headers.get("content-encoding")
            body = await read_body(request.stream(), encoding, max_wire=largest, max_plain=largest)
            table = await asyncio.to_thread(read_batch, body, batch_id, self._columns)
            del body
            async with self._committing:
                await asyncio.to_thread(self._insert, table, batch_id)
        except ClientDisconnect:
            return _busy("the client went away")
        except BodyTooSlow as error:
            return _busy(str(error))
        except BodyError as error:
            return self._refuse(error.status, batch_id, scope, str(error))
        except BatchRejected as error:
            return self._refuse(400, batch_id, scope, str(error))
        except StoreError as error:
            return self._store_failed(error, batch_id, scope)
        self.batches += 1
        self.stored += table.num_rows
        return Response(msgspec.json.encode({"rows": table.num_rows}), 200, media_type=_JSON)

    def _insert(self, table: Any, batch_id: str) -> None:
        if table.num_rows:
            self._engine.insert(TABLE, table, deduplication_token=batch_id)

    def _store_failed(self, error: StoreError, batch_id: str, scope: Scope) -> Response:
        in_data = isinstance(error, QueryError) and error.code in _DATA_ERRORS
        if in_data and not isinstance(error, QueryLimit):
            return self._refuse(400, batch_id, scope, str(error))
        self.failed += 1
        _log.warning("a batch could not be stored", batch_id=batch_id, reason=str(error))
        return _busy(str(error))

    def _refuse(self, status: int, batch_id: str, scope: Scope, reason: str) -> Response:
        self.refused += 1
        collector = subject_name(scope.get("client_certificate") or b"")
        _log.error("a batch was refused", batch_id=batch_id, collector=collector, reason=reason)
        return _text(status, reason)


_JSON = "application/json"


def table_columns(engine: Engine) -> dict[str, str]:
    """Return the table's columns, name to ClickHouse type; raises StoreError."""
    rows = engine.query(
        "SELECT name, type FROM system.columns "
        "WHERE database = currentDatabase() AND table = {table:String}",
        {"table": TABLE},
    )
    return dict(zip(rows["name"].to_pylist(), rows["type"].to_pylist(), strict=True))


def _text(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, media_type="text/plain; charset=utf-8")


def _busy(text: str) -> Response:
    response = _text(503, text)
    response.headers["retry-after"] = str(RETRY_SECONDS)
    return response
