"""SQL that finds a field in the text of an event, for the fields that have no column.

It answers as a filter's predicate does on the decoded event: a value of another type than the
vocabulary says is absent, which is "" for a text, NULL for an integer, [] for a list. ClickHouse's
own conversions (12.0 or "12" to 12, an object to its text) are kept out.

Where the two differ: of a key that an object has twice ClickHouse takes the first and Python the
last; an event with a number beyond 64 bits has no fields for ClickHouse's parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.events.vocabulary import Field

_TEXT = "raw"


def extracted(field: Field) -> str:
    """Return an expression of type String, Nullable(Int64) or Array(String) over ``raw``."""
    if field.kind == "strings":
        return _texts(field.path)
    path = ", ".join(map(_quoted, field.path))
    if field.kind == "string":
        return f"if(JSONType({_TEXT}, {path}) = 'String', JSONExtractString({_TEXT}, {path}), '')"
    return (
        f"if(JSONType({_TEXT}, {path}) IN ('Int64', 'UInt64'), "
        f"JSONExtract({_TEXT}, {path}, 'Nullable(Int64)'), NULL)"
    )


def _texts(path: Sequence[str]) -> str:
    """Return the texts in the list at a path, where lists on the way stand for their elements."""
    found = _TEXT
    for key in path:
        found = _bound("t", found, _step(key))
    items = "if(startsWith(t, '['), JSONExtractArrayRaw(t), [])"
    texts = f"arrayMap(e -> JSONExtractString(e), arrayFilter(e -> startsWith(e, '\"'), {items}))"
    return _bound("t", found, texts)


def _step(key: str) -> str:
    """Return the JSON text that a key leads to from that in ``t``, "" for nothing."""
    below = f"JSONExtractRaw(i, {_quoted(key)})"
    items = f"if(startsWith(i, '{{'), {_bound('b', below, _ITEMS)}, [])"
    gathered = f"arrayFlatten(arrayMap(i -> {items}, JSONExtractArrayRaw(t)))"
    return (
        f"multiIf(startsWith(t, '{{'), JSONExtractRaw(t, {_quoted(key)}), "
        f"startsWith(t, '['), concat('[', arrayStringConcat({gathered}, ','), ']'), '')"
    )


# What the JSON text in `b` adds to a list: the elements of a list, nothing, or itself.
_ITEMS = "multiIf(startsWith(b, '['), JSONExtractArrayRaw(b), b IN ('', 'null'), [], [b])"


def _bound(name: str, value: str, expression: str) -> str:
    """Return an expression in which `name` stands for a value, which is written only once."""
    return f"arrayMap({name} -> {expression}, [{value}])[1]"


def _quoted(key: str) -> str:
    return "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"
