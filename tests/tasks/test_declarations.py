from __future__ import annotations

import msgspec
import pytest

from deodar.tasks.declarations import APPLICATION, KINDS, TASKS, find, find_name, kesl_task
from deodar.tasks.errors import UnknownTask


def test_tasks_have_the_numbers_and_names_of_kesl() -> None:
    assert {task.id: task.name for task in TASKS} == {
        20: "Behavior_Detection",
        24: "KATAEDR",
        25: "KATAEDR_Prevention",
    }


@pytest.mark.parametrize("text", ["24", "KATAEDR", "kataedr", " KataEdr "])
def test_a_task_is_found_by_number_and_by_name_in_any_case(text: str) -> None:
    assert find(text).id == 24


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_a_task_requires_comes_before_it(task) -> None:
    before = [other.name for other in TASKS[: TASKS.index(task)]]
    assert set(task.requires) <= set(before)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("KATAED", "did you mean KATAEDR?"),
        ("file_threat_protection", "is a task of KESL that Deodar has not"),
        ("1", "there are: Behavior_Detection, KATAEDR, KATAEDR_Prevention"),
        ("", "there are"),
        ("x" * 5000, "there are"),
    ],
)
def test_an_unknown_task_is_told_with_those_that_there_are(text: str, told: str) -> None:
    with pytest.raises(UnknownTask) as caught:
        find(text)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_general_settings_stand_beside_the_tasks() -> None:
    assert find_name("application") == APPLICATION
    assert find_name("20") == "Behavior_Detection"
    assert list(KINDS) == [*(task.name for task in TASKS), APPLICATION]


def test_tasks_that_only_kesl_has_are_known() -> None:
    assert kesl_task("license")
    assert not kesl_task("KATAEDR")


def test_every_kind_has_defaults() -> None:
    for kind in KINDS.values():
        assert msgspec.convert({}, kind) == kind()
