from __future__ import annotations

import threading
import time

import pytest

from deodar.edr import reputation as module
from deodar.edr.database import now_us, record
from deodar.edr.errors import FeedProblem, NotKnown
from deodar.edr.reputation import Entry, Reputation

MD5, SHA = "a" * 32, "b" * 64


@pytest.fixture
def reputation(database) -> Reputation:
    return Reputation(database)


def numbered(count: int) -> list[Entry]:
    return [Entry(f"{number:064x}", "untrusted", "feed") for number in range(count)]


def test_of_several_lists_the_worst_verdict_counts(reputation):
    reputation.add(Entry(SHA.upper(), "trusted", "local", note="ours"))
    assert reputation.look_up([SHA])[SHA].verdict == "trusted"
    reputation.add(Entry(SHA, "untrusted", "feed"))
    found = reputation.look_up([SHA.upper(), MD5])
    assert {text: entry.verdict for text, entry in found.items()} == {SHA: "untrusted"}
    reputation.remove("feed", SHA)
    assert reputation.look_up([SHA])[SHA].note == "ours"


def test_what_has_expired_counts_no_more(reputation):
    reputation.add(Entry(SHA, "untrusted", "local", expires_us=now_us() - 1))
    reputation.add(Entry(MD5, "untrusted", "local", expires_us=now_us() + 60_000_000))
    assert set(reputation.look_up([SHA, MD5])) == {MD5}
    assert reputation.feeds()[0].expired == 1
    assert reputation.forget() == 1
    assert reputation.forget() == 0
    assert [entry.hash for entry in reputation.entries()] == [MD5]


def test_a_list_is_loaded_whole_or_not_at_all(reputation):
    assert reputation.load("feed", numbered(1200)) == 1200
    assert reputation.load("feed", numbered(1200)) == 1200  # the same once more
    assert [(f.source, f.untrusted, f.trusted) for f in reputation.feeds()] == [("feed", 1200, 0)]
    with pytest.raises(FeedProblem):
        reputation.load("feed", [*numbered(3), Entry("odd", "trusted", "feed")], replace=True)
    assert reputation.feeds()[0].untrusted == 1200
    assert reputation.load("feed", numbered(3), replace=True) == 3
    assert reputation.feeds()[0].untrusted == 3


def test_others_can_write_while_a_long_list_is_loaded(reputation, database):
    waits: list[float] = []
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            began = time.monotonic()
            with database.write() as connection:
                record(connection, "test", "meanwhile")
            waits.append(time.monotonic() - began)
            over.wait(0.05)

    thread = threading.Thread(target=write)
    thread.start()
    began = time.monotonic()
    reputation.load("feed", numbered(60_000))
    assert reputation.remove("feed") == 60_000
    took = time.monotonic() - began
    over.set()
    thread.join(30)
    assert len(waits) > 3
    assert max(waits) < max(2.0, took / 2)


def test_lists_are_read_in_pages(reputation):
    reputation.load("feed", numbered(5))
    first = reputation.entries("feed", limit=2)
    rest = reputation.entries("feed", after=first[-1].hash)
    assert [entry.hash for entry in [*first, *rest]] == [f"{n:064x}" for n in range(5)]
    assert reputation.entries("other") == []


def test_what_is_wrong_is_told(reputation, monkeypatch):
    with pytest.raises(FeedProblem, match="neither MD5 nor SHA-256"):
        reputation.add(Entry("abc", "trusted", "local"))
    with pytest.raises(FeedProblem, match="no name for a list"):
        reputation.add(Entry(SHA, "trusted", "a b"))
    with pytest.raises(NotKnown, match="reputation list"):
        reputation.remove("local", SHA)
    with pytest.raises(NotKnown):
        reputation.remove("local")
    with pytest.raises(NotKnown):
        reputation.find(SHA, "local")
    monkeypatch.setattr(module, "MOST", 100)
    with pytest.raises(FeedProblem, match="more than 100"):
        reputation.load("feed", numbered(1200))


def test_a_look_up_does_not_take_longer_with_longer_lists(reputation):
    def cost(wanted: list[str]) -> float:
        best = 9.0
        for _ in range(5):
            began = time.perf_counter()
            reputation.look_up(wanted)
            best = min(best, time.perf_counter() - began)
        return best

    wanted = [f"{number * 7:064x}" for number in range(1000)]
    reputation.load("feed", numbered(1000))
    short = cost(wanted)
    reputation.load("feed", numbered(60_000))
    assert cost(wanted) < 6 * short + 0.05  # sixty times as long; more rows are found, too
