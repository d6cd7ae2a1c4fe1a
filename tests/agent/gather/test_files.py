from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from deodar.agent.gather import files as module
from deodar.agent.gather.asked import AskedFacts
from deodar.agent.gather.files import LONG, MOST_DATA_BYTES, FileChanges
from deodar.agent.hashing.facts import identity_of
from deodar.agent.sensors.acts import FileChange, FileClosed, FileOperation, LibraryLoad
from deodar.agent.sensors.base import Exit, FileIdentity, ProcessKey
from deodar.agent.sensors.file_policy import FilePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

CREATE, MODIFY, RENAME, ATTRIBUTES, DELETE = FileOperation
KEY, OTHER = ProcessKey(7, 9), ProcessKey(8, 9)
NOW = 1_800_000_000_123_456_789


@pytest.fixture
def changes(context: Context, tmp_path: Path) -> Iterator[FileChanges]:
    policy = FilePolicy(excluded=(str(tmp_path / "noise"),))
    yield FileChanges(AskedFacts(context.hasher), lambda: policy)
    context.hasher.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def identity(path: Path) -> FileIdentity:
    return identity_of(path.stat())


def written(path: Path, operation: FileOperation = CREATE, key: ProcessKey = KEY) -> FileChange:
    first = identity(path)._replace(size=0, mtime_ns=1, ctime_ns=1)
    return FileChange(NOW, key, operation, bytes(path), identity=first, mode=0o644, closes=True)


def renamed(old: Path, new: Path) -> FileChange:
    return FileChange(NOW, KEY, RENAME, bytes(new), bytes(old), exact=False)


def all_of(changes: FileChanges, until: Any) -> list[Record]:
    """What comes in the end, without `last`."""
    found: list[Record] = []
    until(lambda: found.extend(changes.due(0)) or not changes.waiting)
    return found


def test_a_new_file_comes_when_it_was_closed(changes: FileChanges, path: Path, until: Any) -> None:
    record = written(path)
    assert changes.take(record) == ()
    assert changes.take(written(path, MODIFY)) == ()
    assert changes.due(0) == []
    assert changes.take(FileClosed(NOW, KEY, identity(path))) == []
    assert all_of(changes, until) == [record]
    assert record.identity == identity(path)
    assert record.facts is not None
    assert record.facts.md5 == hashlib.md5(b"content", usedforsecurity=False).hexdigest()


def test_a_file_comes_when_its_writer_ends(changes: FileChanges, path: Path, until: Any) -> None:
    mine, other = written(path), written(path, MODIFY, OTHER)
    changes.take(mine)
    changes.take(other)
    changes.see(Exit(NOW, KEY))
    assert all_after(changes, until, 1) == [mine]
    assert changes.waiting == 1


def all_after(changes: FileChanges, until: Any, number: int) -> Sequence[Record]:
    found: list[Record] = []
    until(lambda: found.extend(changes.due(0)) or len(found) >= number)
    return found


def test_a_file_that_stays_open_comes_after_a_while(changes: FileChanges, path: Path) -> None:
    record = written(path)
    changes.take(record)
    now = time.monotonic()
    assert changes.due(now + LONG / 2) == []
    assert changes.due(now + LONG + 60) == [record]  # so late that no facts are waited for


def test_at_the_last_everything_comes(changes: FileChanges, path: Path) -> None:
    record = written(path)
    changes.take(record)
    assert changes.due(0, last=True) == [record]
    assert changes.waiting == 0


def test_facts_are_found_under_the_new_name(changes: FileChanges, path: Path, until: Any) -> None:
    record = written(path)
    new = path.with_name("new")
    changes.take(record)
    path.rename(new)
    move = renamed(path, new)
    assert changes.take(move) == (move,)
    changes.take(FileClosed(NOW, KEY, identity(new)))
    assert all_of(changes, until) == [record]
    assert record.facts is not None
    assert record.path == bytes(path)


@pytest.mark.parametrize("operation", [RENAME, ATTRIBUTES, DELETE])
def test_other_changes_go_on_at_once(changes: FileChanges, operation: FileOperation) -> None:
    record = FileChange(NOW, KEY, operation, b"/a", exact=False)
    assert changes.take(record) == (record,)
    assert changes.waiting == 0


def test_what_the_programs_could_not_leave_out_is_left_out_here(
    changes: FileChanges, tmp_path: Path
) -> None:
    noise = bytes(tmp_path / "noise" / "a")
    assert changes.take(FileChange(NOW, KEY, DELETE, noise, exact=False)) == ()
    inside = renamed(tmp_path / "noise" / "a", tmp_path / "noise" / "b")
    into = renamed(tmp_path / "a", tmp_path / "noise" / "a")
    assert changes.take(inside) == ()
    assert changes.take(into) == (into,)
    near = FileChange(NOW, KEY, DELETE, bytes(tmp_path / "noise2"), exact=False)
    assert changes.take(near) == (near,)


def test_an_end_that_nobody_waits_for_is_nothing(changes: FileChanges, path: Path) -> None:
    assert changes.take(FileClosed(NOW, KEY, identity(path))) == ()
    assert changes.see(Exit(NOW, KEY)) == ()


def test_an_end_without_times_keeps_what_was_known(changes: FileChanges, path: Path) -> None:
    record = written(path)
    first = record.identity
    changes.take(record)
    assert first is not None
    changes.take(FileClosed(NOW, KEY, FileIdentity(first.dev, first.ino, 0, 0, 0)))
    assert record.identity == first


def test_large_data_is_not_read_but_a_large_program_is(changes: FileChanges, path: Path) -> None:
    large = identity(path)._replace(size=MOST_DATA_BYTES + 1)
    data, program = written(path), written(path)
    changes.take(data)
    assert changes.take(FileClosed(NOW, KEY, large)) == (data,)
    program.mode = 0o755
    changes.take(program)
    assert changes.take(FileClosed(NOW, KEY, large)) == []
    assert changes.waiting == 1


def test_more_than_there_is_room_for_goes_on_early(
    changes: FileChanges, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 2)
    records = [written(path, MODIFY, ProcessKey(number, 1)) for number in (1, 2, 3)]
    assert [list(changes.take(record)) for record in records] == [[], [], [records[0]]]
    assert changes.waiting == 2


def test_a_library_gets_its_facts(changes: FileChanges, path: Path, until: Any) -> None:
    record = LibraryLoad(NOW, ProcessKey(os.getpid(), 1), bytes(path), identity(path))
    assert changes.take(record) == []
    assert all_of(changes, until) == [record]
    assert record.facts is not None
    assert record.facts.sha256 == hashlib.sha256(b"content").hexdigest()


def test_a_file_that_becomes_executable_gets_its_facts(
    changes: FileChanges, path: Path, until: Any
) -> None:
    path.write_bytes(os.urandom(8192))
    plain = FileChange(NOW, KEY, ATTRIBUTES, bytes(path), mode=0o640, exact=False)
    program = FileChange(NOW, KEY, ATTRIBUTES, bytes(path), mode=0o750, exact=False)
    assert changes.take(plain) == (plain,)
    assert changes.take(program) == []
    assert all_of(changes, until) == [program]
    assert program.facts is not None
    assert program.facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert program.facts.fuzzy.count(":") == 2


def test_data_gets_no_fuzzy_hash(changes: FileChanges, path: Path, until: Any) -> None:
    path.write_bytes(os.urandom(8192))
    record = written(path)
    changes.take(record)
    changes.take(FileClosed(NOW, KEY, identity(path)))
    assert all_of(changes, until) == [record]
    assert record.facts is not None
    assert (record.facts.fuzzy, record.facts.header) == ("", path.read_bytes()[:16].hex())
