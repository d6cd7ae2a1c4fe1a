from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.columnar import values
from deodar.columnar.errors import Refused
from deodar.columnar.values import FAILED

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
    max_leaves=8,
)


@given(json_values)
def test_what_json_can_say_is_decoded(value: Any) -> None:
    assert values.decode(json.dumps(value).encode()) == value
    assert values.decode(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\\\ud800", "x\\\\\\\\ud800"])
def test_whole_pairs_and_escaped_backslashes_are_no_half_pairs(text: str) -> None:
    raw = b'{"a":"' + text.encode() + b'"}'
    assert values.decode_object(raw) == json.loads(raw)


def test_a_half_pair_in_a_key_is_found() -> None:
    with pytest.raises(Refused) as refused:
        values.decode(b'{"a":{"\\udfff":1}}')
    assert refused.value.path == "a"


def test_depth_counts_objects_and_lists_within_a_field() -> None:
    deepest = b'{"a":' + b'[{"b":' * 32 + b"1" + b"}]" * 32 + b"}"
    assert values.decode_object(deepest)
    with pytest.raises(Refused, match="deeper than 64 levels at a"):
        values.decode_object(b'{"a":[' + deepest[5:-1] + b"]}")


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (5, 5),
        (True, 1),
        (12.0, 12),
        ("+7", 7),
        (" -9223372036854775808 ", -(2**63)),
        ("9223372036854775808", FAILED),
        (12.5, FAILED),
        (1e300, FAILED),
        ("", FAILED),
        ("12.0", FAILED),
        ("1_000", FAILED),
        ("١٢", FAILED),
        ("9" * 5000, FAILED),
        ("0\x1f", FAILED),  # white space to some, not to int()
        ("\t5\r\n", 5),
        ([1], FAILED),
    ],
)
def test_integers(value: Any, result: Any) -> None:
    assert values.as_integer(value) == result


@pytest.mark.parametrize(
    ("value", "result"),
    [(1, 1.0), ("2.5", 2.5), ("inf", FAILED), ("nan", FAILED), (10**400, FAILED), ({}, FAILED)],
)
def test_floats(value: Any, result: Any) -> None:
    assert values.as_float(value) == result


@pytest.mark.parametrize(
    ("value", "kept", "text"),
    [("a", "a", "a"), (["a", "b"], '["a","b"]', "a, b"), (True, "true", "true"), ([], "[]", "[]")],
)
def test_texts(value: Any, kept: str, text: str) -> None:
    assert values.as_kept(value) == kept
    assert values.as_text(value) == text


EVENT = {"Ioa": {"Rules": [{"T": ["1", "2"]}, {"T": ["3"]}, {}], "S": "low"}, "n": 5}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("n", 5),
        ("n.m", None),
        ("Ioa.S", "low"),
        ("Ioa.Rules.0.T", ["1", "2"]),
        ("Ioa.Rules.0.T.1", "2"),
        ("Ioa.Rules.T", ["1", "2", "3"]),
        ("Ioa.Rules.7.T", None),
        ("Ioa.Rules.Nothing", []),
        ("Nothing.at.all", None),
    ],
)
def test_paths(path: str, found: Any) -> None:
    assert values.walk(EVENT, path.split(".")) == found
