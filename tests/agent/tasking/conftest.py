from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from deodar.agent.answers import Answer
from deodar.agent.tasking.executors.base import Context
from deodar.kit.directory import StateDirectory
from deodar.response.wire import Orders, TaskOrder

if TYPE_CHECKING:
    from pathlib import Path

FAR = 1 << 60


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


def order(identity: str = "t1", kind: str = "run_process", **parameters: object) -> TaskOrder:
    return TaskOrder(identity, kind, parameters or {"command": "true"}, 1, FAR)


def orders(*tasks: TaskOrder, number: int = 1, server: str = "s1") -> Orders:
    return Orders(server, number, 1_000_000, tasks=tasks)


class Sent:
    """A server's side for executors and the worker: keeps what it gets, answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[Answer | Exception] = []

    def __call__(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        self.got.append((path, body, headers))
        answer = self.answers.pop(0) if self.answers else Answer(200, b"{}")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def context(sent: Sent) -> Context:
    return Context("t1", threading.Event(), sent)
