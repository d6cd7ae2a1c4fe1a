from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.patient import Patient

if TYPE_CHECKING:
    from collections.abc import Callable


def test_it_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    patient = Patient("test", 1)
    assert [patient.call(lambda one=one: one, 5.0, print) for one in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        patient.call(lambda: 1 // 0, 5.0, print)
    assert patient.call(lambda: "again", 5.0, print) == "again"


def test_what_comes_too_late_is_undone(until: Callable[..., Any]) -> None:
    patient, gate, undone = Patient("test", 2), threading.Event(), list[str]()

    def late() -> str:
        assert gate.wait(20)
        return "late"

    with pytest.raises(TimeoutError, match="within"):
        patient.call(late, 0.05, undone.append)
    assert patient.call(lambda: "meanwhile", 5.0, undone.append) == "meanwhile"
    gate.set()
    until(lambda: undone == ["late"])


def test_when_all_hang_nothing_is_tried(until: Callable[..., Any]) -> None:
    patient, gate = Patient("test", 1), threading.Event()
    with pytest.raises(TimeoutError, match="within"):
        patient.call(lambda: gate.wait(20), 0.05, print)
    with pytest.raises(TimeoutError, match="no other"):
        patient.call(lambda: 1, 5.0, print)
    gate.set()

    def answer() -> bool:
        try:
            return patient.call(lambda: True, 5.0, print)
        except TimeoutError:
            return False

    until(answer)


def test_its_threads_end_when_it_is_closed(until: Callable[..., Any]) -> None:
    patient = Patient("test-closed", 2)
    patient.call(lambda: 1, 5.0, print)
    patient.close()
    until(lambda: "test-closed" not in {thread.name for thread in threading.enumerate()})
