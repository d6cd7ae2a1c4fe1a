from __future__ import annotations

import threading

import pytest

from deodar.edr import filters
from deodar.edr.errors import TokenError
from deodar.edr.filters import FilterStore
from deodar.edr.tokens import NO_FILTER, filter_digest


def test_a_kept_filter_is_found_by_its_digest(database):
    store = FilterStore(database)
    digest = store.keep("siem", "FileName == 'a'")
    assert digest == filter_digest("FileName == 'a'")
    assert FilterStore(database).text("siem", digest) == "FileName == 'a'"


def test_no_filter_needs_no_row(database):
    store = FilterStore(database)
    assert store.keep("siem", "") == NO_FILTER
    assert store.text("siem", NO_FILTER) == ""


def test_a_filter_belongs_to_its_system(database):
    store = FilterStore(database)
    digest = store.keep("siem", "x == 1")
    with pytest.raises(TokenError):
        store.text("other", digest)


def test_only_the_last_ones_are_kept(database, monkeypatch):
    monkeypatch.setattr(filters, "KEPT", 10)
    store = FilterStore(database)
    digests = [store.keep("siem", f"x == {n}") for n in range(15)]
    assert store.text("siem", digests[-1]) == "x == 14"
    with pytest.raises(TokenError, match="not found"):
        store.text("siem", digests[0])


def test_the_same_filter_kept_at_once_is_there_once(database):
    store = FilterStore(database)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.keep("siem", "a == 1")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [filter_digest("a == 1")] * 8
