from __future__ import annotations

import random

import pytest

from deodar.events import VOCABULARY, recipes
from deodar.events.process_tree import ProcessTree


@pytest.fixture
def bench() -> recipes.Bench:
    rng = random.Random(4)
    return recipes.Bench(rng, ProcessTree(rng, 1_000), 2_000)


def test_there_is_a_recipe_for_every_type() -> None:
    assert set(recipes.LINUX) | set(recipes.WINDOWS) == set(VOCABULARY.types)
    assert not set(recipes.LINUX) & set(recipes.WINDOWS)


def test_types_of_windows_only_have_windows_recipes() -> None:
    windows = {kind.name for kind in VOCABULARY.types.values() if not kind.linux}
    assert set(recipes.WINDOWS) == windows


def test_recipes_do_not_change_the_processes_that_they_tell_of(bench: recipes.Bench) -> None:
    before = {p.unique_pid: dict(p.fields) for p in (bench.tree.any() for _ in range(50))}
    for name in ("connection", "filechange", "applock", "threatdetect", "portlisten"):
        for _ in range(20):
            recipes.LINUX[name](bench)
    after = {p.unique_pid: p.fields for p in (bench.tree.any() for _ in range(50))}
    assert all(before[key] == after[key] for key in before.keys() & after.keys())


def test_a_connection_has_a_service_port_on_the_serving_side(bench: recipes.Bench) -> None:
    for fields in (recipes.connection(bench) for _ in range(100)):
        served = "RemotePort" if fields["Direction"] == 1 else "LocalPort"
        assert fields[served] < 10_000
        assert fields["Protocol"] == (17 if fields[served] == 53 else 6)


def test_a_renamed_file_has_its_name_before(bench: recipes.Bench) -> None:
    for fields in (recipes.filechange(bench) for _ in range(100)):
        assert ("PreviousFileName" in fields) == (fields["FileOperationType"] == 3)


def test_a_loss_has_a_count_and_a_span(bench: recipes.Bench) -> None:
    bench.now = 10**15
    fields = recipes.telemetry_loss(bench)
    assert fields["LostCount"] > 0
    assert fields["LostFirstTime"] < fields["LostLastTime"] < bench.now
