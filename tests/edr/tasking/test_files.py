from __future__ import annotations

import hashlib
import os

import pytest

from deodar.edr.database import now_us
from deodar.edr.errors import FileRefused, NotKnown
from deodar.edr.settings import Tasking as Settings
from deodar.edr.tasking import FILES
from deodar.edr.tasking.files import FetchedFiles, Part
from deodar.edr.tasking.shelf import FolderShelf
from deodar.response.wire import Result

from .conftest import AGENT, OTHER

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def task(tasking) -> str:
    return tasking.tasks.create(AGENT, "get_file", {"path": "/etc/x"}).id


def part(offset: int, data: bytes, total: int = len(DATA), digest: str = DIGEST) -> Part:
    return Part(offset, total, digest, data)


def test_a_file_comes_in_parts_and_is_kept_by_its_hash(tasking, task):
    assert tasking.files.add(AGENT, task, part(0, DATA[:4000])) == 4000
    with pytest.raises(NotKnown):
        tasking.files.of_task(task)
    assert tasking.files.add(AGENT, task, part(4000, DATA[4000:])) == len(DATA)
    kept = tasking.files.of_task(task)
    assert (kept.path, kept.size, kept.sha256) == ("/etc/x", len(DATA), DIGEST)
    assert b"".join(tasking.files.content(kept)) == DATA
    assert tasking.files.total() == (1, len(DATA))
    assert [file.task_id for file in tasking.files.list(AGENT)] == [task]
    assert tasking.files.list(OTHER) == []


def test_an_empty_file_is_a_file(tasking, task):
    empty = hashlib.sha256(b"").hexdigest()
    assert tasking.files.add(AGENT, task, part(0, b"", 0, empty)) == 0
    assert tasking.files.of_task(task).size == 0


def test_after_a_broken_connection_the_server_says_what_it_has(tasking, task):
    tasking.files.add(AGENT, task, part(0, DATA[:4000]))
    with pytest.raises(FileRefused) as caught:
        tasking.files.add(AGENT, task, part(9000, DATA[9000:]))
    assert (caught.value.status, caught.value.have) == (409, 4000)
    assert tasking.files.add(AGENT, task, part(0, DATA)) == len(DATA)  # or all of it anew


def test_a_wrong_hash_is_refused_and_nothing_stays(tasking, task, tmp_path):
    with pytest.raises(FileRefused, match="the bytes have SHA-256") as caught:
        tasking.files.add(AGENT, task, part(0, DATA, digest="0" * 64))
    assert (caught.value.status, caught.value.have) == (400, 0)
    assert list((tmp_path / FILES).iterdir()) == []


def test_who_may_send_what(tasking, task):
    with pytest.raises(NotKnown):
        tasking.files.add(OTHER, task, part(0, DATA))
    run = tasking.tasks.create(AGENT, "run_process", {"command": "ls"}).id
    with pytest.raises(NotKnown):
        tasking.files.add(AGENT, run, part(0, DATA))
    small = tasking.tasks.create(AGENT, "get_file", {"path": "/x", "maximum_bytes": 100}).id
    with pytest.raises(FileRefused, match="at most 100 are taken") as caught:
        tasking.files.add(AGENT, small, part(0, DATA))
    assert caught.value.status == 413
    with pytest.raises(FileRefused):
        tasking.files.add(AGENT, task, part(0, DATA, total=10))
    tasking.tasks.take_result(AGENT, task, Result("failed"))
    with pytest.raises(FileRefused, match="is failed already"):
        tasking.files.add(AGENT, task, part(0, DATA))


def test_when_the_room_is_used_up_files_are_refused(tasking, database, tmp_path, task):
    files = FetchedFiles(database, FolderShelf(tmp_path / "small"), Settings(files_bytes=12_000))
    files.add(AGENT, task, part(0, DATA))
    more = tasking.tasks.create(AGENT, "get_file", {"path": "/y"}).id
    with pytest.raises(FileRefused, match="files_bytes") as caught:
        files.add(AGENT, more, part(0, DATA))
    assert caught.value.status == 507
    files.remove(task)
    files.add(AGENT, more, part(0, DATA))


def test_bytes_go_when_the_last_file_with_them_does(tasking, task, tmp_path):
    other = tasking.tasks.create(AGENT, "get_file", {"path": "/y"}).id
    for one in (task, other):
        tasking.files.add(AGENT, one, part(0, DATA))
    kept = tmp_path / FILES / DIGEST
    tasking.files.remove(task, "ann")
    assert kept.exists()
    with pytest.raises(NotKnown):
        tasking.files.remove(task)
    assert tasking.files.forget(now_us() + 1_000_000) == 1
    assert not kept.exists()


def test_a_file_that_a_command_deletes_meanwhile_disturbs_nothing(tasking, task, tmp_path):
    (tmp_path / FILES / "part-gone").symlink_to("nowhere")  # as one that is deleted in between
    tasking.files.add(AGENT, task, part(0, DATA))
    tasking.files.sweep()
    assert b"".join(tasking.files.content(tasking.files.of_task(task))) == DATA


def test_parts_whose_others_never_come_are_swept(tasking, task, tmp_path):
    tasking.files.add(AGENT, task, part(0, DATA[:10]))
    (path,) = (tmp_path / FILES).iterdir()
    tasking.files.sweep()
    assert path.exists()
    os.utime(path, (1, 1))
    tasking.files.sweep()
    assert not path.exists()
