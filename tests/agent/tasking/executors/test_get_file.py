from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from deodar.agent.answers import Answer, NoAnswer
from deodar.agent.tasking.executors import get_file
from deodar.agent.tasking.executors.base import TaskFailed
from deodar.response.kinds import GetFile, RunProcess
from deodar.response.wire import LARGEST_PART


def have(count: int, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode({"have": count}))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(get_file, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(get_file, "LONGEST_PAUSE", 0.02)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789" * 200_000)
    return path


def test_a_file_is_sent_in_parts_with_its_hash(file, context, sent):
    data = file.read_bytes()
    sent.answers = [have(LARGEST_PART), have(len(data))]
    result = get_file.execute(GetFile(str(file)), context)
    digest = hashlib.sha256(data).hexdigest()
    assert result.file is not None
    assert (result.state, result.file.size, result.file.sha256) == ("done", len(data), digest)
    assert b"".join(body for _, body, _ in sent.got) == data
    assert {path for path, _, _ in sent.got} == {"/agent/v1/results/t1/file"}
    assert [headers["Deodar-Offset"] for _, _, headers in sent.got] == ["0", str(LARGEST_PART)]
    assert {headers["Deodar-Sha256"] for _, _, headers in sent.got} == {digest}


def test_an_empty_file_is_one_part(tmp_path, context, sent):
    (tmp_path / "empty").touch()
    sent.answers = [have(0)]
    result = get_file.execute(GetFile(str(tmp_path / "empty")), context)
    assert result.file is not None
    assert (result.file.size, len(sent.got)) == (0, 1)


def test_it_goes_on_where_the_server_is(file, context, sent):
    size = file.stat().st_size
    sent.answers = [have(5, 409), NoAnswer("gone"), Answer(503), have(size - 1), have(size)]
    get_file.execute(GetFile(str(file)), context)
    offsets = [headers["Deodar-Offset"] for _, _, headers in sent.got]
    assert offsets == ["0", "5", "5", "5", str(size - 1)]


def test_a_file_that_changes_is_begun_anew_once(file, context, sent):
    sent.answers = [have(0, 400), have(LARGEST_PART), have(file.stat().st_size)]
    assert get_file.execute(GetFile(str(file)), context).state == "done"
    sent.answers = [have(0, 400), have(0, 400)]
    with pytest.raises(TaskFailed, match="changes while it is read"):
        get_file.execute(GetFile(str(file)), context)


def test_what_the_server_does_not_take_is_told(file, context, sent):
    sent.answers = [Answer(507, b'{"error": "no room"}')]
    with pytest.raises(TaskFailed, match="HTTP 507: no room"):
        get_file.execute(GetFile(str(file)), context)
    sent.answers = [NoAnswer("nobody there")] * get_file.TRIES
    with pytest.raises(TaskFailed, match="could not be sent: nobody there"):
        get_file.execute(GetFile(str(file)), context)


def test_it_ends_when_the_agent_does(file, context, sent):
    context.stop.set()
    sent.answers = [NoAnswer("nobody there")]
    with pytest.raises(TaskFailed, match="the agent was stopped"):
        get_file.execute(GetFile(str(file)), context)


def test_files_that_are_not_fetched(file, tmp_path, context, sent):
    os.mkfifo(tmp_path / "pipe")  # opened for reading it would wait for a writer
    for path, told in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path, "no regular file"),
        ("/dev/zero", "no regular file"),
        (tmp_path / "missing", "No such file"),
    ):
        with pytest.raises(TaskFailed, match=told):
            get_file.execute(GetFile(str(path)), context)
    with pytest.raises(TaskFailed, match="more than the 10 bytes"):
        get_file.execute(GetFile(str(file), maximum_bytes=10), context)
    with pytest.raises(TaskFailed):
        get_file.execute(RunProcess("ls"), context)
    assert sent.got == []


def test_files_of_the_kernel_have_no_size_but_are_read(context, sent):
    size = len(Path("/proc/version").read_bytes())
    sent.answers = [have(size)]
    result = get_file.execute(GetFile("/proc/version"), context)
    assert result.file is not None
    assert result.file.size == size > 0
