from __future__ import annotations

from deodar.agent.enrich import converters  # noqa: F401 - fills the registry
from deodar.agent.enrich.registry import TYPES
from deodar.events.kinds import KINDS
from deodar.events.tiers_reference import TIERS, page
from deodar.events.vocabulary import VOCABULARY

OF_RECORDS = frozenset({"bpf", "audit", "proc", "watch"})
SENSORS_AND_WATCHERS = OF_RECORDS | {"agent"}


def test_the_page_has_a_row_for_each_type_that_an_agent_gives() -> None:
    rows = [
        line for line in page().splitlines() if line.startswith("| `") and "Event type" not in line
    ]
    assert len(rows) == sum(bool(kind.tiers) for kind in VOCABULARY.types.values())
    (process,) = (row for row in rows if row.startswith("| `process` "))
    assert process.count("yes") == 4
    assert set(TIERS) == SENSORS_AND_WATCHERS


def test_a_type_that_a_sensor_or_watcher_gives_has_a_converter_and_the_other_way_round() -> None:
    declared = {kind.name for kind in VOCABULARY.types.values() if OF_RECORDS & set(kind.tiers)}
    own = {kind.name for kind in VOCABULARY.types.values() if "agent" in kind.tiers}
    assert declared == set(TYPES.values()) - own


def test_types_are_given_by_every_tier_that_their_kinds_name() -> None:
    for kind in KINDS:
        wanted = {source.partition("/")[0] for source in kind.sources} & SENSORS_AND_WATCHERS
        given = {tier for name in kind.types for tier in VOCABULARY.types[name].tiers}
        assert wanted <= given, kind.title


def test_tiers_are_named_best_first() -> None:
    for kind in VOCABULARY.types.values():
        assert list(kind.tiers) == [tier for tier in TIERS if tier in kind.tiers]
