"""Inputs that are likely to hurt: noise, nearly right texts, depth, length, huge numbers, bombs."""

from __future__ import annotations

import gzip
import json
from typing import Any

import zstandard
from hypothesis import strategies as st

NUMBERS = st.sampled_from(["0", "-1", "1e400", "9" * 30, "9" * 4000, "0x10", "1.5", "NaN", "-0"])
NOISE = st.binary(max_size=300)
TEXTS = st.text(max_size=200)

FIELDS = st.sampled_from(
    ["FileName", "HostName", "EventType", "FileSize", "Ioa.Rules.Name", "System.EventID.value", "x"]
)
OPERATORS = st.sampled_from(
    ["==", "=", "!=", "CONTAINS", "!CONTAINS", "STARTS", "!ENDS", ">", "<=", "IN", "", "LIKE"]
)
VALUES = st.one_of(
    st.text("ab*'\\\"%_ \n\0é", max_size=12).map(lambda text: f"'{text}'"),
    st.text(max_size=12).map(lambda text: f'"{text}"'),
    NUMBERS,
    st.just(""),
)
CONDITIONS = st.tuples(FIELDS, OPERATORS, VALUES).map(" ".join)
WORDS = st.sampled_from(["AND", "OR", "NOT", "(", ")", "and", "==", "'", '"', ",", "\0"])
FILTERS = st.one_of(
    TEXTS,
    CONDITIONS,
    st.lists(st.one_of(CONDITIONS, WORDS), max_size=40).map(" ".join),
    st.tuples(st.integers(1, 4000), CONDITIONS).map(lambda n: "(" * n[0] + n[1] + ")" * n[0]),
    st.tuples(st.integers(1, 2000), CONDITIONS).map(lambda n: "NOT " * n[0] + n[1]),
    st.tuples(st.integers(1, 400), CONDITIONS).map(lambda n: " OR ".join([n[1]] * n[0])),
)

DURATIONS = st.one_of(
    TEXTS,
    st.text("PTYMWDHS0123456789.,-+", max_size=30),
    st.lists(st.tuples(NUMBERS, st.sampled_from("YMWDHST")), max_size=6).map(
        lambda parts: "P" + "".join(a + b for a, b in parts)
    ),
)

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just(2**70)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=20,
)
DEEP = st.integers(1, 5000).flatmap(
    lambda depth: st.sampled_from([b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth])
)


def documents(shape: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Return JSON bodies near a shape: whole, with odd values, cut, deep, or noise."""
    odd = st.fixed_dictionaries(
        {}, optional={name: st.one_of(st.just(value), JSON) for name, value in shape.items()}
    )
    whole = odd.map(lambda value: json.dumps(value).encode())
    cut = st.tuples(whole, st.integers(0, 400)).map(lambda pair: pair[0][: pair[1]])
    return st.one_of(whole, cut, JSON.map(lambda value: json.dumps(value).encode()), DEEP, NOISE)


EVENT = {
    "EventType": "process",
    "Id": "1",
    "Timestamp": 1,
    "HostName": "h",
    "AgentId": "a",
    "ReceivedTimestamp": 5,
    "Ioa": {"Rules": [{"Name": "x"}]},
}
NUMBERED = NUMBERS.map(lambda text: b'{"EventType":%b}' % text.encode())
PACKETS = st.lists(st.one_of(documents(EVENT), NUMBERED), max_size=12).map(b"\n".join)


def mutated(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return a binary with bytes changed, cut out, put in or cut off."""
    changes = st.lists(
        st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 3), st.binary(max_size=8)),
        max_size=6,
    )

    def apply(given: list[tuple[int, int, bytes]]) -> bytes:
        data = bytearray(whole)
        for place, kind, new in given:
            if kind == 0:
                data[place : place + len(new)] = new
            elif kind == 1:
                data[place:place] = new
            elif kind == 2:
                del data[place : place + len(new)]
            else:
                del data[place:]
        return bytes(data)

    return st.one_of(changes.map(apply), NOISE)


def bomb(encoding: str, plain: int) -> bytes:
    """Return a small body that unpacks to `plain` zeros."""
    data = bytes(plain)
    if encoding == "gzip":
        return gzip.compress(data, 9)
    return zstandard.ZstdCompressor(level=19).compress(data)


PACKED = st.one_of(
    st.sampled_from(["gzip", "zstd"]).flatmap(
        lambda name: st.tuples(
            st.just(name),
            mutated(bomb(name, 70_000)),
        )
    ),
    st.tuples(st.sampled_from(["gzip", "zstd", "br", "identity", "GZIP", "gzip, zstd", ""]), NOISE),
)
