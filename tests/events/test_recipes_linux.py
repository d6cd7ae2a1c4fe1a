from __future__ import annotations

import random

import pytest

from deodar.events import VOCABULARY, recipes_linux
from deodar.events.process_tree import ProcessTree
from deodar.events.recipes import Bench


@pytest.fixture
def bench() -> Bench:
    rng = random.Random(4)
    return Bench(rng, ProcessTree(rng, 1_000), 10**15)


def test_all_are_types_of_linux() -> None:
    for recipe in recipes_linux.ALL:
        assert VOCABULARY.types[recipe.__name__].linux


def test_a_driver_is_the_file_of_its_event_and_its_loader_is_named_beside(bench: Bench) -> None:
    for fields in (recipes_linux.driver(bench) for _ in range(20)):
        assert fields["FileFullName"].endswith(".ko")
        assert not fields["LoaderFileFullName"].endswith(".ko")


def test_what_reaches_into_a_process_names_it(bench: Bench) -> None:
    for recipe in (recipes_linux.process_access, recipes_linux.process_tampering):
        fields = recipe(bench)
        assert fields["TargetSystemPid"] > 0
        assert fields["TargetUniquePid"]
        assert fields["AccessWay"]


def test_repeats_have_a_span(bench: Bench) -> None:
    fields = recipes_linux.filechange_repeats(bench)
    assert fields["RepeatsFirstTime"] < fields["RepeatsLastTime"] <= bench.now
