"""Values for the ``{name:Type}`` placeholders of a statement, as the text that ClickHouse parses.

Both engines get the same text, so both read a value alike. Facts: ClickHouse parses a parameter's
value as one field of its TabSeparated format; arrays and maps inside it use quoted literals.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from deodar.store.errors import BAD_PARAMETER, QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD: Final = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)
_LITERAL: Final = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER: Final = r"\{\s*%s\s*:\s*([^}]+)\}"
_LOW, _HIGH = -(2**63), 2**63 - 1


class Encoded(str):
    """A parameter that is already in the text form, as ClickHouse's clients send it."""

    __slots__ = ()


def encode(sql: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return each parameter's text; `sql` tells which integers may be unsigned.

    Strings, integers, floats, booleans, None, and lists, tuples and mappings of those are taken.
    Raises QueryError for any other type, a bad name, and an integer that the type cannot hold.
    """
    return {name: _top(name, value, sql) for name, value in parameters.items()}


def _top(name: str, value: Any, sql: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise QueryError(BAD_PARAMETER, f"{name!r} is not a parameter's name")
    if isinstance(value, str):
        _check_text(name, value)
        return str(value) if isinstance(value, Encoded) else value.translate(_FIELD)
    if value is None:
        return "\\N"
    return _literal(name, value, sql)


def _literal(name: str, value: Any, sql: str) -> str:
    if isinstance(value, str):
        _check_text(name, value)
        return f"'{value.translate(_LITERAL)}'"
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(name, value, sql)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_literal(name, item, sql) for item in value)}]"
    if isinstance(value, dict):
        pairs = [
            f"{_literal(name, key, sql)}:{_literal(name, item, sql)}" for key, item in value.items()
        ]
        return f"{{{','.join(pairs)}}}"
    raise QueryError(BAD_PARAMETER, f"parameter {name}: a {type(value).__name__} cannot be bound")


def _integer(name: str, value: int, sql: str) -> str:
    declared = re.search(_PLACEHOLDER % re.escape(name), sql)
    high = 2**64 - 1 if declared is not None and "UInt64" in declared[1] else _HIGH
    if not _LOW <= value <= high:
        raise QueryError(BAD_PARAMETER, f"parameter {name}: {value} does not fit into 64 bits")
    return str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return repr(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _check_text(name: str, value: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QueryError(
            BAD_PARAMETER, f"parameter {name}: a lone surrogate at {error.start}"
        ) from None
