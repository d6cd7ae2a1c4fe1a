from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from deodar.agent.answers import Answer, NoAnswer
from deodar.agent.tasking import worker as module
from deodar.agent.tasking.book import Book
from deodar.agent.tasking.executors.base import TaskFailed
from deodar.agent.tasking.outbox import Outbox
from deodar.agent.tasking.worker import Worker
from deodar.response.wire import Result, StateOrder

from .conftest import Sent, order, orders


class Desk:
    """A worker with what it stands on; `done` counts what it executed."""

    def __init__(self, directory: Any, sent: Sent) -> None:
        self.book, self.outbox = Book(directory), Outbox(directory.path)
        self.sent = sent
        self.told: list[dict[str, str]] = []
        self.ran: list[str] = []
        self.rested = threading.Event()
        self.worker = Worker(
            self.book,
            self.outbox,
            sent,
            lambda _, details: self.told.append(details),
            lambda: {"run_process": self.run, "get_file": self.fail},
            self.rested.set,
        )

    def run(self, _: object, context: Any) -> Result:
        self.ran.append(context.task_id)
        return Result("done", exit_code=0)

    def fail(self, _: object, context: Any) -> Result:
        raise TaskFailed("no such file") if context.task_id != "odd" else ZeroDivisionError

    def work(self, *tasks: Any) -> list[tuple[str, dict[str, Any]]]:
        """Let it work off these orders; returns what it sent, by path."""
        if tasks:
            self.book.take(orders(*tasks))
        self.rested.clear()
        self.worker.wake()
        assert self.rested.wait(10)
        return [(path, json.loads(body)) for path, body, _ in self.sent.got]


@pytest.fixture
def desk(directory, sent):
    made = Desk(directory, sent)
    yield made
    made.worker.stop(5)
    assert made.worker.failure == ""


def test_without_orders_there_is_no_thread(desk):
    before = threading.active_count()
    desk.worker.wake()
    assert threading.active_count() == before


def test_a_task_is_told_as_running_and_then_with_its_result(desk):
    sent = desk.work(order("a"), order("b"))
    assert [(path, body["state"]) for path, body in sent] == [
        ("/agent/v1/results/a", "running"),
        ("/agent/v1/results/a", "done"),
        ("/agent/v1/results/b", "running"),
        ("/agent/v1/results/b", "done"),
    ]
    assert [(one["Task"], one["State"]) for one in desk.told] == [
        ("a", "running"),
        ("a", "done"),
        ("b", "running"),
        ("b", "done"),
    ]
    assert len(desk.outbox) == 0
    assert desk.book.left_over() == []


def test_what_this_version_does_not_know_is_answered_so(desk):
    _, body = desk.work(order("a", "kill_process", pid=9))[-1]
    assert (body["state"], body["supported"]) == ("failed", False)
    assert "kill_process is not supported by this agent version" in body["reason"]
    desk.worker.answer_state(StateOrder("network_isolation", "endpoint", 4, True, {}))
    path, body = desk.work()[-1]
    assert path == "/agent/v1/states"
    assert (body["kind"], body["number"], body["outcome"]) == (
        "network_isolation",
        4,
        "unsupported",
    )


def test_what_the_host_does_not_allow_is_not_done(desk):
    desk.worker._allowed = ["get_file"]
    _, body = desk.work(order("a"))[-1]
    assert (body["state"], body["supported"], desk.ran) == ("failed", False, [])
    assert "run_process is not allowed on this host" in body["reason"]


def test_failures_are_results(desk):
    sent = desk.work(order("a", "get_file", path="/x"), order("odd", "get_file", path="/x"))
    reasons = [body["reason"] for _, body in sent if body["state"] == "failed"]
    assert reasons == ["no such file", "a fault of the agent: ZeroDivisionError: "]
    _, body = desk.work(order("c", "run_process", command=""))[-1]
    assert body["state"] == "failed"
    assert "command" in body["reason"]
    assert desk.ran == []


def test_answers_wait_while_no_server_takes_them(desk, sent, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    sent.answers = [Answer(200), NoAnswer("away"), Answer(503), Answer(403), Answer(200)]
    desk.work(order("a"))
    for _ in range(200):
        if len(sent.got) == 5:
            break
        desk.rested.clear()
        desk.rested.wait(0.1)
    assert [json.loads(body)["state"] for _, body, _ in sent.got] == ["running", *["done"] * 4]
    assert desk.ran == ["a"]


@pytest.mark.parametrize("status", [400, 404, 409, 413])
def test_what_the_server_will_never_take_is_not_sent_again(desk, sent, status):
    sent.answers = [Answer(200), Answer(status)]
    desk.work(order("a"))
    assert (len(sent.got), len(desk.outbox)) == (2, 0)


def test_while_many_answers_wait_no_task_is_begun(desk, sent, monkeypatch):
    monkeypatch.setattr(module, "ENOUGH_WAITING", 1)
    sent.answers = [NoAnswer("away")]
    desk.outbox.put("task-old", "/agent/v1/results/old", Result("done"))
    desk.work(order("a"))
    assert desk.ran == []
    assert desk.book.waiting == 1


def test_what_an_agent_before_had_begun_is_answered_as_failed(desk):
    desk.book.take(orders(order("a")))
    desk.book.begin()
    ((path, body),) = desk.work()
    assert (path, body["state"]) == ("/agent/v1/results/a", "failed")
    assert body["reason"] == "the agent ended while the task ran"


def test_a_task_whose_time_is_over_is_not_begun(desk):
    late = order("a")
    ((_, body),) = desk.work(type(late)("a", "run_process", {"command": "true"}, 1, 5))
    assert (body["state"], desk.ran) == ("failed", [])
    assert "its time was over" in body["reason"]
