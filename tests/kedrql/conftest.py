"""Generated filters and events that are likely to match one another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from deodar.events import VOCABULARY
from deodar.kedrql import And, Comparison, Expression, Not, Or, Pattern
from deodar.kedrql.values import pattern_parts

TEXT_FIELDS = ("FileName", "StartupParameters", "Ioa.Severity")
LIST_FIELDS = ("Ioa.Rules.Name", "Ioa.Rules.Techniques")
NUMBER_FIELDS = ("FileSize", "ExitCode", "System.EventID.value")

ALPHABET = "abA%_\\*'\" \n\t\r\x01é😀\uffff{}p0"
texts = st.text(ALPHABET, max_size=5)
stored = st.text(f"{ALPHABET}\0", max_size=5)
numbers = st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)])
operators = st.sampled_from(["==", "<", "<=", ">", ">="])


def _field(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from([VOCABULARY.fields[name] for name in names])


def _expressions() -> st.SearchStrategy[Expression]:
    written = _field(TEXT_FIELDS + LIST_FIELDS)
    leaves = st.one_of(
        st.builds(Comparison, written, operators, texts),
        st.builds(Comparison, _field(NUMBER_FIELDS), operators, numbers),
        st.builds(
            Pattern,
            written,
            st.lists(texts, min_size=2, max_size=4).map(pattern_parts),
        ),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=6,
    )


def _rules() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {}, optional={"Name": stored, "Techniques": st.lists(stored, max_size=3)}
    )


def _events() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "FileName": stored,
            "StartupParameters": stored,
            "FileSize": numbers,
            "ExitCode": numbers,
            "System": st.fixed_dictionaries(
                {}, optional={"EventID": st.fixed_dictionaries({}, optional={"value": numbers})}
            ),
            "Ioa": st.fixed_dictionaries(
                {}, optional={"Severity": stored, "Rules": st.lists(_rules(), max_size=2)}
            ),
        },
    )


@pytest.fixture(scope="session")
def expressions() -> st.SearchStrategy[Expression]:
    return _expressions()


@pytest.fixture(scope="session")
def events() -> st.SearchStrategy[dict[str, Any]]:
    return _events()
