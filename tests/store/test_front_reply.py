"""Answers of the front."""

from __future__ import annotations

import pytest

from deodar.store.errors import QueryError, StoreUnavailable
from deodar.store.front_reply import content_type, failure, result


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JSONStrings", "application/json"),
        ("JSONCompactEachRowWithNames", "application/x-ndjson"),
        ("CSVWithNames", "text/csv; charset=UTF-8"),
        ("Native", "application/octet-stream"),
        ("Pretty", "text/plain"),
    ],
)
def test_content_types(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_small_results_are_not_packed() -> None:
    assert "content-encoding" not in result(b"x", "CSV", query_id="q", accept="zstd").headers


def test_failures() -> None:
    busy = failure(StoreUnavailable("later"))
    assert (busy.status_code, busy.headers["x-clickhouse-exception-code"]) == (503, "210")
    refused = failure(QueryError(0, "no"))
    assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (500, "36")
    assert refused.body == b"Code: 36. DB::Exception: no\n"
