"""From KUMA's node form of a filter, as its packages and its REST API have it, to the tree.

A node is a group of conditions (``or`` joins them by OR, else by AND; ``not`` negates the group) or
one condition: ``leftField``, ``op``, and on the right a ``constant``, a ``list``, a ``rightField``
or, for inDictionary, the dictionary. A node with ``code`` is read as text. What a collector cannot
do is refused with the path of the node; no key with a value is passed over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.conditions import Misfit, condition
from deodar.siem.pipeline.filters.expressions import And, Expression, Or, Value, negated
from deodar.siem.pipeline.filters.parser import MAX_BYTES, MAX_CONDITIONS, MAX_DEPTH, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROUP = {"group", "or", "not", "conditions"}
_LEAF = {
    "not", "group", "leftKind", "leftField", "op", "rightKind", "rightField", "rightID",
    "constant", "list", "ignoreCase",
}  # fmt: skip
_ABOUT = {"id", "name", "kind", "description", "checkTypes"}  # says nothing of what is met
_RIGHT = ("constant", "list", "event", "dictionary")


def from_json(text: str) -> Expression:
    """Return the tree of a filter in node form; raises FilterError."""
    if len(text.encode("utf-8", "surrogatepass")) > 16 * MAX_BYTES:
        raise FilterError(f"longer than {16 * MAX_BYTES} bytes")
    try:
        node = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterError(f"not JSON: {error}") from error
    return from_nodes(node)


def from_nodes(node: Any) -> Expression:
    """Return the tree of a filter whose nodes are decoded JSON; raises FilterError."""
    return _Reader().read(node, "$", 0)


class _Reader:
    def __init__(self) -> None:
        self._conditions = 0

    def read(self, node: Any, path: str, depth: int) -> Expression:
        if not isinstance(node, dict):
            raise FilterError(f"{path}: a node is an object, not {type(node).__name__}")
        if depth > MAX_DEPTH:
            raise FilterError(f"{path}: more than {MAX_DEPTH} groups in one another")
        if node.get("code"):
            _only(node, {"code"} | _GROUP, path)
            return parse(_text(node, "code", path))
        if node.get("conditions") or node.get("group"):
            return self._group(node, path, depth)
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise FilterError(f"{path}: more than {MAX_CONDITIONS} conditions")
        return _leaf(node, path)

    def _group(self, node: Mapping[str, Any], path: str, depth: int) -> Expression:
        _only(node, _GROUP, path)
        parts = node.get("conditions")
        if not isinstance(parts, list) or not parts:
            raise FilterError(f"{path}.conditions: a group has a list of at least one node")
        terms = tuple(
            self.read(part, f"{path}.conditions[{index}]", depth + 1)
            for index, part in enumerate(parts)
        )
        joined = terms[0] if len(terms) == 1 else (Or if node.get("or") else And)(terms)
        return negated(joined) if node.get("not") else joined


def _leaf(node: Mapping[str, Any], path: str) -> Expression:
    _only(node, _LEAF, path)
    if node.get("leftKind", "event") != "event":
        kind = str(node["leftKind"])[:40]
        raise FilterError(f"{path}.leftKind: a collector compares fields of events, not {kind}")
    word = _text(node, "op", path)
    try:
        made = condition(
            _text(node, "leftField", path),
            word,
            _right(node, path),
            ignore_case=node.get("ignoreCase") is True,
        )
    except Misfit as error:
        key = {"field": "leftField", "operator": "op", "value": _right_kind(node)}[error.part]
        raise FilterError(f"{path}.{key}: {error.reason}") from None
    return negated(made) if node.get("not") else made


def _right_kind(node: Mapping[str, Any]) -> str:
    told = node.get("rightKind")
    if not told:
        return "list" if node.get("list") else "constant"
    return str(told)


def _right(node: Mapping[str, Any], path: str) -> list[Value] | str:
    kind = _right_kind(node)
    if kind not in _RIGHT:
        raise FilterError(f"{path}.rightKind: {kind[:40]!r} is none of {', '.join(_RIGHT)}")
    if kind == "event":
        return _text(node, "rightField", path)
    if kind == "dictionary":
        return [_text(node, "rightID", path)]
    if kind == "constant":
        return [_constant(node.get("constant", ""), f"{path}.constant")]
    values = node.get("list")
    if not isinstance(values, list):
        raise FilterError(f"{path}.list: a list is wanted")
    return [_constant(value, f"{path}.list[{index}]") for index, value in enumerate(values)]


def _constant(value: Any, path: str) -> Value:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FilterError(f"{path}: a text or a number is wanted")
    return value


def _text(node: Mapping[str, Any], key: str, path: str) -> str:
    value = node.get(key)
    if not isinstance(value, str) or not value:
        raise FilterError(f"{path}.{key}: a text is wanted")
    return value


def _only(node: Mapping[str, Any], known: set[str], path: str) -> None:
    for key, value in node.items():
        if value and key not in known and key not in _ABOUT:
            raise FilterError(f"{path}.{key}: a collector's filter cannot take this into account")
