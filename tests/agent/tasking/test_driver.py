"""Waiting for orders, against a server of plain HTTPS that says what the test tells it to."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.connection import ConnectionSettings
from deodar.agent.tasking import driver as module
from deodar.agent.tasking.driver import TaskingDriver
from deodar.response.wire import Result
from deodar.tls import certificates, contexts

from .conftest import FAR

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIR = certificates.self_signed("edr")


def orders(number: int, *tasks: str, server: str = "s1", **more: Any) -> tuple[int, bytes]:
    told = [
        {
            "id": t,
            "kind": "run_process",
            "parameters": {"command": "true"},
            "number": number,
            "expires_us": FAR,
        }
        for t in tasks
    ]
    body = {"server_id": server, "number": number, "time_us": 1, "tasks": told, **more}
    return 200, json.dumps(body).encode()


class Far:
    """The server; a request for which nothing is scripted waits until something is."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self._script: deque[tuple[int, bytes]] = deque()
        self._news = threading.Condition()
        self._closing = False
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                far.get(self)

            def do_POST(self) -> None:
                far.post(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            for name, data in (("c", PAIR.certificate), ("k", PAIR.key)):
                Path(folder, name).write_bytes(data)
            plain.load_cert_chain(Path(folder, "c"), Path(folder, "k"))
        self._server.socket = plain.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]

    def say(self, *answers: tuple[int, bytes]) -> None:
        with self._news:
            self._script.extend(answers)
            self._news.notify_all()

    def get(self, handler: Any) -> None:
        with self._news:
            self.asked.append(handler.path)
            self._news.notify_all()
            self._news.wait_for(lambda: self._script or self._closing, 30)
            status, body = self._script.popleft() if self._script else (503, b"")
        self._answer(handler, status, body)

    def post(self, handler: Any) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._news:
            self.posted.append((handler.path, body))
            self._news.notify_all()
        self._answer(handler, 200, b"{}")

    def _answer(self, handler: Any, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def until(self, condition: Any) -> None:
        with self._news:
            assert self._news.wait_for(condition, 20), (self.asked, self.posted)

    def close(self) -> None:
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    yield made
    made.close()


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def driver(far: Far, directory, ran, monkeypatch) -> Iterator[TaskingDriver]:
    monkeypatch.setattr(module, "SHORTEST_ROUND", 0.05)

    def run(_: object, context: Any) -> Result:
        ran.append(context.task_id)
        return Result("done")

    made = TaskingDriver(
        directory,
        index=lambda: 0,
        notify=lambda *_: None,
        executors=lambda: {"run_process": run},
    )
    made.configure(settings(far))
    yield made
    made.stop()
    assert made.failure == ""


def settings(far: Far) -> ConnectionSettings:
    context = contexts.pinned_client([certificates.fingerprint(PAIR.certificate)])
    return ConnectionSettings(servers=(("127.0.0.1", far.port),), context=context)


def test_orders_are_carried_out_and_the_next_request_tells_the_number(driver, far, ran):
    far.say(orders(3, "a"))
    driver.start()
    far.until(lambda: len(far.posted) == 2 and len(far.asked) == 2)
    assert ran == ["a"]
    assert far.asked == [
        "/agent/v1/tasking?since=0&wait=120",
        "/agent/v1/tasking?since=3&wait=120",
    ]
    assert [(path, body["state"]) for path, body in far.posted] == [
        ("/agent/v1/results/a", "running"),
        ("/agent/v1/results/a", "done"),
    ]


def test_desired_states_are_answered_as_not_supported(driver, far):
    state = {"kind": "prevention", "target": "all", "number": 5, "active": True, "settings": {}}
    far.say(orders(5, states=[state]))
    driver.start()
    far.until(lambda: far.posted)
    path, body = far.posted[0]
    assert (path, body["outcome"], body["target"]) == ("/agent/v1/states", "unsupported", "all")


def test_another_server_is_asked_from_the_beginning(driver, far, ran):
    far.say(orders(8, "a"), orders(2, server="s2"), orders(2, "b", server="s2"))
    driver.start()
    far.until(lambda: len(far.asked) == 4)
    numbers = [path.partition("since=")[2].partition("&")[0] for path in far.asked]
    assert numbers == ["0", "8", "0", "2"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((503, b'{"error": "busy"}'), "HTTP 503: busy"),
        ((200, b"<html>"), "cannot be understood"),
        ((200, b"{}"), "cannot be understood"),
    ],
)
def test_after_a_failure_it_is_told_and_tried_again(driver, far, ran, answer, told, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    far.say(answer)
    driver.start()
    far.until(lambda: len(far.asked) == 2)
    assert told in driver.problem
    far.say(orders(1, "a"))
    far.until(lambda: len(far.asked) == 3)
    assert driver.problem == ""


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
def test_a_server_that_wants_nothing_of_it_is_left_alone(driver, far, status):
    far.say((status, b""))
    driver.start()
    far.until(lambda: far.asked)
    threading.Event().wait(1.0)
    assert len(far.asked) == 1
    driver.configure(settings(far))  # new settings are tried at once
    far.until(lambda: len(far.asked) == 2)


def test_it_stops_while_it_waits(driver, far):
    driver.start()
    far.until(lambda: far.asked)
    began = threading.Event()
    thread = threading.Thread(target=lambda: (driver.stop(), began.set()))
    thread.start()
    assert began.wait(6)


def test_without_a_certificate_it_waits_for_one(directory, far):
    made = TaskingDriver(directory, index=lambda: 0, notify=lambda *_: None)
    made.configure(ConnectionSettings(servers=(("127.0.0.1", far.port),)))
    made.start()
    made.configure(settings(far))
    far.until(lambda: far.asked)
    made.stop()
