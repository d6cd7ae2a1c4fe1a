from __future__ import annotations

from deodar.agent.coverage import NO_SOURCE, NOT_STARTED, coverage


def by_number(*given):
    return {kind.number: kind for kind in coverage(*given)}


def test_the_best_source_that_works_covers_a_kind() -> None:
    found = by_number(["agent", "bpf/core", "audit"], [], {1: 5})
    assert (found[1].covered, found[1].by, found[1].last_seen) == (True, "bpf/core", 5)
    assert (found[17].covered, found[17].by, found[17].last_seen) == (True, "audit", None)
    assert found[27].by == "agent"


def test_what_keeps_a_kind_away_is_told() -> None:
    refused = [("bpf/files", "the verifier refused it"), ("watch/state", "no inotify")]
    found = by_number(["agent", "bpf/core"], refused, {})
    assert not found[3].covered
    assert found[3].why_not == "bpf/files: the verifier refused it"
    assert found[14].why_not == "watch/state: no inotify"
    assert found[12].why_not == NO_SOURCE


def test_a_sensor_that_was_refused_as_a_whole_is_the_reason_for_its_parts() -> None:
    found = by_number(["agent", "proc"], [("bpf", "no BTF")], {})
    assert found[3].why_not == "bpf: no BTF"


def test_without_detection_nothing_but_the_agent_is_covered() -> None:
    found = by_number(["agent"], [], {})
    assert [kind.number for kind in found.values() if kind.covered] == [27, 28]
    assert found[1].why_not == NOT_STARTED
