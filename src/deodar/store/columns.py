"""Whether a batch's columns fit the table's, where ClickHouse would not say that they do not.

ClickHouse parses text on its way into a nullable number, and what it cannot parse becomes NULL (or
the default) without an error. Deodar's batches have the right types, so text there is a mistake.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from deodar.store.errors import QueryError
from deodar.store.names import quote_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TYPE_MISMATCH: Final = 53

_TEXT: Final = re.compile(r"(?:(?:LowCardinality|Nullable)\()*(?:String|FixedString|Enum)")


class ColumnTypes:
    """The types of the tables that were inserted into, asked for once each."""

    def __init__(self, query: Callable[[str], pa.Table]) -> None:
        self._query = query
        self._known: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def check(self, table: str, schema: pa.Schema) -> None:
        """Raise QueryError when `schema` has a strange column, or text for one of another type."""
        texts = [field.name for field in schema if _is_text(field.type)]
        with self._lock:
            known = self._known.get(table)
        if known is None or _misfit(texts, known) or not set(schema.names) <= known.keys():
            known = self._ask(table)  # the table may have changed since
        strange = next((name for name in schema.names if name not in known), None)
        if strange is not None:
            raise QueryError(16, f"there is no column {strange} in table {table}")
        misfit = _misfit(texts, known)
        if misfit is not None:
            raise QueryError(
                TYPE_MISMATCH,
                f"column {misfit} of table {table} is {known[misfit]}; the batch has text for it",
            )

    def _ask(self, table: str) -> dict[str, str]:
        rows = self._query(f"DESCRIBE TABLE {quote_table(table)}")
        known = dict(zip(rows["name"].to_pylist(), rows["type"].to_pylist(), strict=True))
        with self._lock:
            self._known[table] = known
        return known


def _misfit(texts: list[str], known: Mapping[str, str]) -> str | None:
    return next((name for name in texts if name in known and not _TEXT.match(known[name])), None)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
