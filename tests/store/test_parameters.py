"""Values in the text form; that the engines read it back is shown by the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deodar.store.errors import QueryError
from deodar.store.parameters import Encoded, encode

if TYPE_CHECKING:
    from deodar.store.chdb_engine import ChdbEngine

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=TEXT, texts=st.lists(TEXT))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_comes_back(deodar_store_engine: ChdbEngine, text: str, texts: list[str]) -> None:
    found = deodar_store_engine.query(
        "SELECT {a:String} AS a, {b:Array(String)} AS b", {"a": text, "b": texts}
    )
    assert found.to_pylist() == [{"a": text, "b": texts}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\tb", "a\\tb"),
        (None, "\\N"),
        (True, "true"),
        (7, "7"),
        (0.5, "0.5"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (["a'b", None, 1], "['a\\'b',NULL,1]"),
        ({"k": [1]}, "{'k':[1]}"),
        (Encoded("a\\tb"), "a\\tb"),
    ],
)
def test_the_text_form(value: Any, text: str) -> None:
    assert encode("", {"p": value}) == {"p": text}


@pytest.mark.parametrize("value", [b"x", object(), 2**63, -(2**63) - 1, "\ud800", ["\ud800"]])
def test_what_cannot_be_bound_is_refused(value: Any) -> None:
    with pytest.raises(QueryError, match="parameter p"):
        encode("SELECT {p:Int64}", {"p": value})


def test_names_are_checked() -> None:
    with pytest.raises(QueryError, match="name"):
        encode("", {"a b": 1})


def test_unsigned_integers_need_their_type() -> None:
    assert encode("SELECT { p : UInt64 }", {"p": 2**64 - 1}) == {"p": str(2**64 - 1)}
