"""Answers in ClickHouse's HTTP protocol: content types, its X-ClickHouse headers, its errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from deodar.kit.body import encode, negotiate
from deodar.store.errors import QueryError, StoreUnavailable

if TYPE_CHECKING:
    from deodar.kit.errors import DeodarError

AUTHENTICATION_FAILED: Final = 516
UNAVAILABLE: Final = 210  # ClickHouse's NETWORK_ERROR
BAD_ARGUMENTS: Final = 36

_TYPES: Final = {
    "json": "application/json",
    "jsoneachrow": "application/x-ndjson",
    "csv": "text/csv; charset=UTF-8",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "arrow": "application/vnd.apache.arrow.file",
    "arrowstream": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "orc": "application/octet-stream",
    "msgpack": "application/octet-stream",
}
_PREFIXES: Final = (
    ("jsoncompacteachrow", "application/x-ndjson"),
    ("jsoneachrow", "application/x-ndjson"),
    ("jsonstringseachrow", "application/x-ndjson"),
    ("json", "application/json"),
    ("csv", "text/csv; charset=UTF-8"),
    ("tabseparated", "text/tab-separated-values; charset=UTF-8"),
    ("tsv", "text/tab-separated-values; charset=UTF-8"),
    ("rowbinary", "application/octet-stream"),
)
# Statuses by ClickHouse's error number, as its server gives them; 500 for all others.
_STATUS: Final = {
    27: 400, 38: 400, 41: 400, 42: 400, 43: 400, 53: 400, 62: 400, 117: 400, 130: 400, 457: 400,
    46: 404, 47: 404, 60: 404, 81: 404, 73: 404, 115: 404,
    48: 501, 159: 408, 210: 503, 516: 403,
}  # fmt: skip
_SMALL: Final = 1024  # bytes; packing less is not worth it


def result(
    data: bytes, format_name: str, *, query_id: str, accept: str = "", seconds: float = 0.0
) -> Response:
    """Return a result, packed as `accept` (an Accept-Encoding value, "" for none) allows."""
    summary = {
        "read_rows": "0", "read_bytes": "0", "written_rows": "0", "written_bytes": "0",
        "total_rows_to_read": "0", "result_rows": "0", "result_bytes": str(len(data)),
        "elapsed_ns": str(int(seconds * 1e9)),
    }  # fmt: skip
    headers = {
        "X-ClickHouse-Summary": json.dumps(summary, separators=(",", ":")),
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Format": format_name,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "deodar",
        "Content-Type": content_type(format_name),
    }
    encoding = negotiate(accept) if accept and len(data) > _SMALL else "identity"
    if encoding != "identity":
        headers |= {"Content-Encoding": encoding, "Vary": "Accept-Encoding"}
        data = encode(data, encoding)
    return Response(data, headers=headers)


def failure(error: DeodarError, *, query_id: str = "", status: int | None = None) -> Response:
    """Return an error as ClickHouse does: its code in a header, its text in the body.

    `status` overrides the HTTP status that belongs to the code.
    """
    code = UNAVAILABLE if isinstance(error, StoreUnavailable) else BAD_ARGUMENTS
    text = str(error)
    if isinstance(error, QueryError):
        code, text = error.code or BAD_ARGUMENTS, error.message
    headers = {
        "X-ClickHouse-Exception-Code": str(code),
        "Content-Type": "text/plain; charset=UTF-8",
    }
    if query_id:
        headers["X-ClickHouse-Query-Id"] = query_id
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    body = f"Code: {code}. DB::Exception: {text}\n"
    return Response(body, status or _STATUS.get(code, 500), headers)


def content_type(format_name: str) -> str:
    """Return the media type of one of ClickHouse's formats."""
    name = format_name.lower()
    if name in _TYPES:
        return _TYPES[name]
    return next((kind for start, kind in _PREFIXES if name.startswith(start)), "text/plain")
