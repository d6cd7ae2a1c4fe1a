"""The loop that one would write first for a declarative mapping: the peer of the normalizer.

For each event: ``json.loads``, then for each field of its type a look-up, its conversions, and a
dictionary; at the end Arrow from the list of dictionaries. It does less than the normalizer: it
keeps no extra fields, cuts no lengths, tolerates no wrong types.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from deodar.columnar.steps import compile_steps
from deodar.columnar.values import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.columnar.spec import Rule, Spec

Work = list[tuple[str, "Callable[[dict[str, Any]], Any]"]]


class Naive:
    """One mapping, ready for the loop."""

    def __init__(self, spec: Spec) -> None:
        self._discriminator = spec.discriminator
        self._work: dict[str, Work] = {
            name: [
                (column.target, _reader(rules[0], column.type))
                for column in spec.columns
                if (rules := spec.rules(column, name))
            ]
            for name in spec.types
        }

    def run(self, body: bytes) -> pa.RecordBatch:
        """Return the rows of an answer of the events API."""
        rows = [
            {target: read(event) for target, read in self._work[event[self._discriminator]]}
            for event in json.loads(body)["events"]
        ]
        return pa.RecordBatch.from_pylist(rows)


def _reader(rule: Rule, kind: str) -> Callable[[dict[str, Any]], Any]:
    convert = compile_steps(rule.steps, kind)
    if rule.path is None:
        return lambda _event: rule.constant
    if "." not in rule.path:
        path = rule.path
        return lambda event: _converted(convert, event.get(path))
    parts = rule.path.split(".")
    return lambda event: _converted(convert, walk(event, parts))


def _converted(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)
