from __future__ import annotations

import contextlib
import hashlib
import threading

import pytest

from deodar.edr.cli_task import EXIT_NOT_DONE
from deodar.edr.database import now_us
from deodar.edr.errors import EdrError, NotKnown
from deodar.edr.tables import endpoints
from deodar.edr.tasking import Tasking
from deodar.edr.tasking.files import Part
from deodar.response.errors import OrderProblem
from deodar.response.wire import Result

from .commands import run, told


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


@pytest.fixture
def tasking(installation):
    with contextlib.closing(installation.database()) as database:
        with database.write() as connection:
            row = {"agent_id": "agent-1", "digest": "d", "state": "enrolled", "name": "web-1"}
            connection.execute(endpoints.insert().values(**row, enrolled_us=now_us()))
        settings = installation.settings.tasking
        yield Tasking(database, installation.directory.path, "s", settings)


def test_a_program_is_ordered_by_the_hosts_name(folder, tasking):
    words = ("task", "run", "web-1", "ls", "--dir", folder, "--time-limit", 9, "--", "-l", "/a b")
    assert "run_process for agent-1: pending" in run(*words)
    (made,) = told("task", "list", "--dir", folder)
    assert made["parameters"]["arguments"] == "-l '/a b'"
    assert made["parameters"]["time_limit"] == 9
    assert made["user"].startswith("uid ")
    assert run("task", "list", "--dir", folder).count("run_process") == 1
    assert told("task", "list", "--dir", folder, "--state", "done", "--host", "web-1") == []


def test_waiting_shows_the_result(folder, tasking):
    def answer(result: Result) -> None:
        for _ in range(200):
            if found := tasking.tasks.list("agent-1", ["pending"]):
                tasking.tasks.take_result("agent-1", found[0].id, result)
                return
            threading.Event().wait(0.05)

    for result, code in ((Result("done", output="one\ntwo\n"), 0), (Result("failed", "no"), 5)):
        thread = threading.Thread(target=answer, args=(result,))
        thread.start()
        shown = run("task", "run", "web-1", "ls", "--dir", folder, "--wait", 20, code=code)
        thread.join()
        assert result.state in shown
    assert EXIT_NOT_DONE == 5
    run("task", "run", "web-1", "ls", "--dir", folder, "--wait", 0.2, code=5)


def test_a_file_is_fetched_and_written(folder, tasking, tmp_path):
    (made,) = told("task", "fetch", "web-1", "/etc/x", "--dir", folder, "--maximum", 1000)
    data = b"content"
    digest = hashlib.sha256(data).hexdigest()
    tasking.files.add("agent-1", made["id"], Part(0, len(data), digest, data))
    target = tmp_path / "out"
    assert digest in run("task", "file", made["id"], "--dir", folder, "--to", target)
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(EdrError, match="File exists"):
        run("task", "file", made["id"], "--dir", folder, "--to", target)
    assert run("task", "file", made["id"], "--dir", folder, "--to", "-") == "content"
    run("task", "file", made["id"], "--dir", folder, "--delete")
    with pytest.raises(NotKnown):
        run("task", "file", made["id"], "--dir", folder)


def test_any_kind_is_ordered_with_words(folder, tasking):
    words = ("task", "create", "web-1", "kill_process")
    (made,) = told(*words, "pid=123", "unique_pid=u", "--dir", folder)
    assert made["parameters"] == {"pid": 123, "unique_pid": "u"}
    for wrong, text in (("pid", "kill_process has: pid, unique_pid"), ("pid=x", "pid")):
        with pytest.raises((EdrError, OrderProblem), match=text):
            run(*words, wrong, "--dir", folder)
    with pytest.raises(OrderProblem, match="there are: run_process"):
        run("task", "create", "web-1", "odd", "--dir", folder)


def test_tasks_are_shown_and_removed(folder, tasking):
    made = tasking.tasks.create("agent-1", "run_process", {"command": "ls"})
    tasking.tasks.take_result("agent-1", made.id, Result("done", exit_code=3, errors="oh\x1b[2J\n"))
    shown = run("task", "show", made.id, "--dir", folder)
    assert "exit_code: 3" in shown
    assert "\x1b" not in shown
    (removed,) = told("task", "remove", made.id, "--dir", folder)
    assert removed["state"] == "done"
    with pytest.raises(NotKnown):
        run("task", "show", "unknown", "--dir", folder)
