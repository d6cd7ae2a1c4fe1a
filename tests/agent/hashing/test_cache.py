from __future__ import annotations

from deodar.agent.hashing.cache import FactsCache
from deodar.agent.hashing.facts import OTHER, FileFacts
from deodar.agent.sensors.base import FileIdentity


def identity(number: int) -> FileIdentity:
    return FileIdentity(1, number, 3, 4, 5)


def facts(size: int) -> FileFacts:
    return FileFacts(size, None, 0, OTHER)


def test_longest_unused_leaves_first() -> None:
    cache = FactsCache(2)
    cache.put(identity(1), facts(1))
    cache.put(identity(2), facts(2))
    assert cache.get(identity(1)) == facts(1)
    cache.put(identity(3), facts(3))
    assert len(cache) == 2
    assert cache.get(identity(2)) is None
    assert cache.get(identity(1)) == facts(1)


def test_later_facts_take_the_place_of_earlier_ones() -> None:
    cache = FactsCache(2)
    cache.put(identity(1), facts(1))
    cache.put(identity(1), facts(2))
    assert cache.get(identity(1)) == facts(2)
    assert len(cache) == 1


def test_file_without_identity_is_never_known() -> None:
    assert FactsCache(2).get(None) is None
