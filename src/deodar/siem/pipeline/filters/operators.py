"""The operators of conditions: what each takes, and the test that it makes of a value.

The tests are the specification of the language: the interpreter calls them for each event, and the
columnar evaluation for each distinct value wherever it has no kernel that does the same.
"""

from __future__ import annotations

import functools
import ipaddress
import operator as std
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar.values import FAILED, as_float, as_integer
from deodar.siem.pipeline.filters.constants import TEXTS, bit, ordered, pattern, subnet, typed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.siem.pipeline.fields import Kind
    from deodar.siem.pipeline.filters.expressions import Condition

    Test = Callable[[Any], bool]
    Tables = Mapping[str, Mapping[str, str]]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NUMBERS: tuple[Kind, ...] = ("integer", "float")


@dataclass(frozen=True)
class Operator:
    """An operator: the kinds of fields it is for, and what it makes of a condition.

    `test` returns the function that tells of one value whether the condition is met. `value`
    returns a constant as the condition keeps it; it raises ValueError that says what would do.
    `compare` is for two fields of one event, None if the operator cannot do that.
    """

    name: str
    summary: str
    kinds: tuple[Kind, ...]
    test: Callable[[Condition, Tables], Test]
    value: Callable[[Any, Kind], Any]
    compare: Callable[[Any, Any], bool] | None = None


def _any_text(meets: Test, condition: Condition) -> Test:
    """Return the test for a text, or for a list of which one text must meet it."""
    if condition.field.kind != "strings":
        return meets
    return lambda items: any(map(meets, items)) if items else meets("")


def _equal(condition: Condition, _tables: Tables) -> Test:
    if condition.ignore_case:
        folded = {str(value).lower() for value in condition.values}
        return _any_text(lambda value: value.lower() in folded, condition)
    wanted = frozenset(condition.values)
    return _any_text(lambda value: value in wanted, condition)


def _order(compare: Callable[[Any, Any], bool]) -> Callable[[Condition, Tables], Test]:
    def make(condition: Condition, _tables: Tables) -> Test:
        def meets(value: Any) -> bool:
            return any(_in_order(compare, value, wanted) for wanted in condition.values)

        return _any_text(meets, condition)

    return make


def _in_order(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    """Compare, as numbers if a text is compared with a number: a text that is none never meets."""
    if isinstance(value, str) and not isinstance(wanted, str):
        value = as_integer(value) if as_integer(value) is not FAILED else as_float(value)
        return value is not FAILED and compare(value, wanted)
    return compare(value, wanted)


def _part(has: Callable[[str, str], bool]) -> Callable[[Condition, Tables], Test]:
    def make(condition: Condition, _tables: Tables) -> Test:
        parts = [str(value) for value in condition.values]
        if condition.ignore_case:
            parts = [part.lower() for part in parts]
            return _any_text(lambda v: any(has(v.lower(), part) for part in parts), condition)
        return _any_text(lambda v: any(has(v, part) for part in parts), condition)

    return make


def _match(condition: Condition, _tables: Tables) -> Test:
    """Use RE2 by way of Arrow: its time is linear in the text, whatever the expression."""
    patterns, ignore = [str(value) for value in condition.values], condition.ignore_case

    def meets(value: str) -> bool:
        text = pa.array([value], pa.string())
        return any(
            pc.match_substring_regex(text, pattern, ignore_case=ignore)[0].as_py()
            for pattern in patterns
        )

    return _any_text(meets, condition)


def _in_subnet(condition: Condition, _tables: Tables) -> Test:
    networks = [ipaddress.ip_network(str(value)) for value in condition.values]

    def meets(value: str) -> bool:
        found = address(value)
        return found is not None and any(found in network for network in networks)

    return _any_text(meets, condition)


@functools.lru_cache(maxsize=65_536)
def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a text is, None if it is none; IPv4 in IPv6 is taken out."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped
    return found


def _in_dictionary(condition: Condition, tables: Tables) -> Test:
    name = str(condition.values[0])
    if name not in tables:
        known = ", ".join(sorted(tables)) or "none"
        raise ValueError(f"there is no dictionary {name} with one key; there are: {known}")
    table = tables[name]
    return _any_text(lambda value: str(value) in table, condition)


def _has_bit(condition: Condition, _tables: Tables) -> Test:
    wanted = sum(1 << int(bit) for bit in set(condition.values))

    def meets(value: Any) -> bool:
        number = as_integer(value)
        return number is not FAILED and number & wanted == wanted

    return meets


def _intersect(condition: Condition, _tables: Tables) -> Test:
    ignore = condition.ignore_case
    wanted = {str(v).lower() if ignore else str(v) for v in condition.values}

    def meets(value: Any) -> bool:
        items = [one.strip() for one in value.split(",")] if isinstance(value, str) else value
        return any((item.lower() if ignore else item) in wanted for item in items)

    return meets


_ALL: tuple[Kind, ...] = (*TEXTS, *NUMBERS)

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        one.name: one
        for one in (
            Operator("=", "is one of the values", _ALL, _equal, typed, std.eq),
            Operator("<", "comes before", _ALL, _order(std.lt), ordered, std.lt),
            Operator("<=", "comes before or is", _ALL, _order(std.le), ordered, std.le),
            Operator(">", "comes behind", _ALL, _order(std.gt), ordered, std.gt),
            Operator(">=", "comes behind or is", _ALL, _order(std.ge), ordered, std.ge),
            Operator(
                "contains", "has the text in it", TEXTS, _part(std.contains), typed, std.contains
            ),
            Operator(
                "startsWith", "begins with", TEXTS, _part(str.startswith), typed, str.startswith
            ),
            Operator("endsWith", "ends with", TEXTS, _part(str.endswith), typed, str.endswith),
            Operator("match", "has a match of the expression", TEXTS, _match, pattern),
            Operator("inSubnet", "is an address in the subnet", TEXTS, _in_subnet, subnet),
            Operator(
                "inDictionary", "is a key of the dictionary", _ALL, _in_dictionary,
                lambda value, _kind: str(value),
            ),
            Operator("hasBit", "has all these bits set", ("integer", "string"), _has_bit, bit),
            Operator("intersect", "has an element that is a value", TEXTS, _intersect, typed),
        )
    }
)  # fmt: skip
"""Every operator by the name that the tree uses."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "inActiveList": "needs active lists, which only a correlator keeps",
        "inContextTable": "needs context tables, which only a correlator keeps",
        "inCategory": "needs categories of assets, which a collector does not know",
        "inActiveDirectoryGroup": "needs a directory service, which a collector does not ask",
        "hasVulnerability": "needs vulnerabilities of assets, which a collector does not know",
        "TIDetect": "needs CyberTrace, which a collector does not ask; use a reputation rule",
    }
)
"""Operators of KUMA that no collector of Deodar can have, with the reason."""

_ELSEWHERE = {name.lower(): reason for name, reason in ELSEWHERE.items()}
_SPELLINGS = {name.lower(): name for name in OPERATORS} | {"==": "="}


def operator(written: str) -> tuple[str, bool]:
    """Return an operator's name, and whether it is negated; the case of its letters is free.

    Raises ValueError that says which there are, or why this one cannot be had.
    """
    word = written.lower()
    if word == "!=":
        return "=", True
    if word in _ELSEWHERE:
        raise ValueError(f"{written} {_ELSEWHERE[word]}")
    if word not in _SPELLINGS:
        raise ValueError(f"{written[:40]!r} is no operator; there are {', '.join(OPERATORS)}, !=")
    return _SPELLINGS[word], False
