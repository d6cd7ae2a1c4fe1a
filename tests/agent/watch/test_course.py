from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.watch.course import LONGEST, NEVER, PATIENCE, QUIET, SECOND_LOOK, Course
from deodar.agent.watch.files import Files
from deodar.agent.watch.records import ServiceChange
from deodar.agent.watch.survey import Look, differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Numbers:
    """A survey of what a test puts there."""

    name = "numbers"
    kinds: Any = dict[str, int]
    related: Mapping[str, tuple[str, ...]] = {}

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self.doubts: tuple[str, ...] = ()

    def folders(self, files: Files) -> Iterable[tuple[str, frozenset[str] | None]]:
        return ()

    def look(self, files: Files, before: Mapping[str, Any]) -> Look:
        return Look(dict(self.items), self.doubts)

    def is_doubtful(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        return len(after) < len(before)

    def changes(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Any]:
        for key, old, _ in differences(before, after):
            operation = "Created" if old is None else "Modified"
            yield ServiceChange(0, UNKNOWN_PROCESS, operation, key)


@pytest.fixture
def survey() -> Numbers:
    return Numbers()


def look(course: Course, now: float) -> list[tuple[str, bool]]:
    return [(change.file, change.meanwhile) for change in course.look(Files(), now).changes]


def test_it_waits_for_quiet_but_not_for_ever(survey: Numbers) -> None:
    course = Course(survey, {})
    assert course.due == NEVER
    course.touch(10.0)
    assert course.due == 10.0 + QUIET
    course.touch(10.15)
    assert course.due == 10.15 + QUIET
    course.touch(10.95)
    assert course.due == 10.0 + LONGEST
    look(course, 11.0)
    assert course.due == NEVER


def test_the_first_look_of_all_tells_nothing(survey: Numbers) -> None:
    course = Course(survey, None)
    survey.items = {"a": 1}
    assert look(course, 0.0) == []
    assert course.items == {"a": 1}
    assert not course.is_saved
    survey.items = {"a": 1, "b": 2}
    assert look(course, 1.0) == [("b", False)]


def test_the_first_look_of_a_run_tells_what_changed_meanwhile(survey: Numbers) -> None:
    course = Course(survey, {"a": 1})
    survey.items = {"a": 2}
    assert look(course, 0.0) == [("a", True)]
    survey.items = {"a": 3}
    assert look(course, 1.0) == [("a", False)]


def test_a_doubtful_state_is_not_believed_at_once(survey: Numbers) -> None:
    survey.items = {"a": 1}
    course = Course(survey, {"a": 1})
    look(course, 0.0)
    survey.items, survey.doubts = {"a": 2}, ("half written",)
    course.touch(10.0)
    assert look(course, 10.2) == []
    assert course.due == pytest.approx(10.4)
    assert look(course, 10.0 + PATIENCE - 0.1) == []
    assert look(course, 10.0 + PATIENCE) == [("a", False)]


def test_a_great_loss_is_looked_at_twice(survey: Numbers) -> None:
    survey.items = {"a": 1}
    course = Course(survey, {"a": 1})
    look(course, 0.0)
    survey.items = {}
    course.touch(10.0)
    assert look(course, 10.2) == []
    survey.items = {"a": 1}
    assert look(course, 10.4) == []
    survey.items = {}
    course.touch(20.0)
    assert look(course, 20.0 + SECOND_LOOK) == [("a", False)]


def test_what_did_not_change_need_not_be_saved(survey: Numbers) -> None:
    survey.items = {"a": 1}
    course = Course(survey, {"a": 1})
    look(course, 0.0)
    assert course.is_saved
