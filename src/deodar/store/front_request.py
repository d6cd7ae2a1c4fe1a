"""A request in ClickHouse's HTTP protocol, taken apart.

Facts: ClickHouse's HTTP interface. The statement is ``query=`` followed by the body; ``param_x``
are parameters, ``database``, ``default_format`` and ``query_id`` say what their names say, and
every other URL parameter is a setting. Long parameters may come as fields of a multipart form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from deodar.store.errors import READ_ONLY, SYNTAX, QueryError
from deodar.store.front_auth import Credentials, basic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOT_IMPLEMENTED: Final = 48
UNKNOWN_SETTING: Final = 115

# Parameters of the protocol; those without a use here are taken and have no effect.
_PROTOCOL: Final = frozenset(
    {
        "add_http_cors_header", "buffer_size", "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version", "close_session", "compress", "database", "decompress",
        "default_format", "enable_http_compression", "http_headers_progress_interval_ms",
        "http_zlib_compression_level", "password", "query", "query_id", "quota_key", "readonly",
        "role", "send_progress_in_http_headers", "session_check", "session_id", "session_timeout",
        "stacktrace", "user", "wait_end_of_query",
    }
)  # fmt: skip
# Settings that change how a result looks or how it is computed, and nothing else.
_HARMLESS: Final = re.compile(
    r"output_format_(?!schema)\w+|input_format_\w+|date_time_\w+|cast_\w+|join_use_nulls|extremes"
    r"|max_threads|max_block_size|session_timezone|use_query_condition_cache|use_uncompressed_cache"
    r"|group_by_use_nulls|transform_null_in|prefer_column_name_to_alias|log_comment|log_queries"
    r"|max_rows_to_read|max_bytes_to_read|max_result_rows|max_result_bytes|max_execution_time"
    r"|max_memory_usage|result_overflow_mode|timeout_overflow_mode|read_overflow_mode|limit|offset"
)


@dataclass(frozen=True)
class FrontQuery:
    """What a request asks for: a statement, perhaps with rows behind it, and its options."""

    text: bytes
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    database: str
    format: str
    query_id: str
    readonly: bool
    cors: bool


def credentials(headers: Mapping[str, str], url: Mapping[str, str]) -> Credentials:
    """Return user and password from the headers or the URL; the user is ``default`` if not said."""
    if "authorization" in headers:
        return basic(headers["authorization"]) or Credentials("", "")
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        user = _header(headers.get("x-clickhouse-user", "default"))
        return Credentials(user, _header(headers.get("x-clickhouse-key", "")))
    return Credentials(url.get("user", "default"), url.get("password", ""))


def understand(
    url: Iterable[tuple[str, str]], headers: Mapping[str, str], body: bytes, *, changing: bool
) -> FrontQuery:
    """Return what a request asks for; `changing` lets every setting through.

    Raises QueryError for what cannot be honoured: compressed blocks, blocks with a protocol
    version, and settings that a reader may not set.
    """
    pairs = list(url)
    kind = headers.get("content-type", "")
    if kind.lower().startswith("multipart/form-data"):
        pairs += _form(kind, body)
        body = b""
    options = dict(pairs)
    _refuse_unknown_blocks(options)
    query = options.get("query", "").encode()
    return FrontQuery(
        text=query + b"\n" + body if query and body else query or body,
        parameters={k[6:]: v for k, v in options.items() if k.startswith("param_")},
        settings=_settings(options, changing=changing),
        database=options.get("database") or headers.get("x-clickhouse-database", ""),
        format=options.get("default_format") or headers.get("x-clickhouse-format", "TabSeparated"),
        query_id=options.get("query_id") or str(uuid4()),
        readonly=_is_on(options, "readonly"),
        cors=_is_on(options, "add_http_cors_header"),
    )


def _refuse_unknown_blocks(options: Mapping[str, str]) -> None:
    for name in ("compress", "decompress"):
        if _is_on(options, name):
            raise QueryError(
                NOT_IMPLEMENTED,
                f"{name}=1 (ClickHouse's own compressed blocks) is not spoken here; "
                "use Content-Encoding and Accept-Encoding",
            )
    if _is_on(options, "client_protocol_version") and options.get("default_format") == "Native":
        raise QueryError(
            NOT_IMPLEMENTED,
            "Native blocks with a protocol version are not spoken here; ask for another format",
        )


def _settings(options: Mapping[str, str], *, changing: bool) -> dict[str, str]:
    settings = {
        name: value
        for name, value in options.items()
        if name not in _PROTOCOL and not name.startswith("param_")
    }
    if not changing:
        for name in settings:
            if _HARMLESS.fullmatch(name) is None:
                raise QueryError(READ_ONLY, f"Cannot modify '{name}' setting in readonly mode")
    return settings


def _header(value: str) -> str:
    """Return a header's text as UTF-8 where it is that; HTTP libraries read it as Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except ValueError:
        return value


def _is_on(options: Mapping[str, str], name: str) -> bool:
    return options.get(name, "0") not in {"", "0", "false"}


def _form(kind: str, body: bytes) -> list[tuple[str, str]]:
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields: list[tuple[str, str]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise QueryError(SYNTAX, "the multipart form has a part without a name or content")
        fields.append((name, _field(name, content)))
    return fields


def _field(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise QueryError(SYNTAX, f"the form's field {name} is not UTF-8: {error}") from None
