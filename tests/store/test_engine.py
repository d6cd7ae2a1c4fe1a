"""URLs, limits and tokens; what engines do is in contract.py."""

from __future__ import annotations

import pytest

from deodar.store.engine import NO_LIMITS, Limits, deduplication, open_engine
from deodar.store.errors import QueryError, QueryLimit, StoreError, from_engine


@pytest.mark.parametrize("url", ["", "sqlite:///x", "/var/lib/deodar", "http://x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(StoreError, match="chdb:///folder"):
        open_engine(url)


def test_limits_as_settings() -> None:
    assert NO_LIMITS.as_settings() == {}
    assert Limits(max_rows=5, settings={"max_result_rows": 9, "extremes": 1}).as_settings() == {
        "max_result_rows": 5, "extremes": 1, "result_overflow_mode": "throw",
    }  # fmt: skip


def test_deduplication_by_token_alone() -> None:
    assert deduplication("t", ()) == {"insert_deduplication_token": "t"}
    assert deduplication(None, ()) == {"insert_deduplicate": 0}
    assert deduplication("", ["deduplicate_insert"])["deduplicate_insert"] == "disable"


def test_errors_of_engines() -> None:
    error = from_engine("Code: 62. DB::Exception: Syntax error: x. (SYNTAX_ERROR)")
    assert (type(error), error.code) == (QueryError, 62)
    assert str(error) == "Syntax error: x. (SYNTAX_ERROR) (code 62)"
    assert isinstance(from_engine("Code: 159. DB::Exception: slow"), QueryLimit)
    assert from_engine("something else", code=5).code == 5
