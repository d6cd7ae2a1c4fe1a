from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from deodar.agent.gather import asked as module
from deodar.agent.gather.asked import PATIENCE, AskedFacts
from deodar.agent.hashing.facts import identity_of
from deodar.agent.sensors.acts import FileChange, FileOperation
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from deodar.agent.enrich.context import Context

KEY = ProcessKey(7, 9)
LATER = 1e12


@pytest.fixture
def asked(context: Context) -> Iterator[AskedFacts]:
    yield AskedFacts(context.hasher)
    context.hasher.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def change(path: Path) -> FileChange:
    identity = identity_of(path.stat())
    return FileChange(1, KEY, FileOperation.CREATE, bytes(path), identity=identity)


def test_a_record_comes_back_with_its_facts(asked: AskedFacts, path: Path, until: Any) -> None:
    record = change(path)
    assert asked.ask(record, [bytes(path)], same=False) == []
    assert len(asked) == 1
    assert until(lambda: asked.ready(0)) == [record]
    assert record.facts is not None
    assert record.facts.sha256 == hashlib.sha256(b"content").hexdigest()
    assert len(asked) == 0


def test_another_file_of_that_name_is_not_taken_for_it(
    asked: AskedFacts, path: Path, until: Any
) -> None:
    record = change(path)
    os.link(path, path.with_name("kept"))  # so that its inode number is not used again
    path.unlink()
    path.write_bytes(b"something else")
    asked.ask(record, [bytes(path)], same=False)
    assert until(lambda: asked.ready(0)) == [record]
    assert record.facts is None


def test_with_same_only_that_content_will_do(asked: AskedFacts, path: Path, until: Any) -> None:
    one, other = change(path), change(path)
    path.write_bytes(b"later content")
    asked.ask(one, [bytes(path)], same=True)
    asked.ask(other, [bytes(path)], same=False)
    done: list[Any] = []
    until(lambda: done.extend(asked.ready(0)) or len(done) == 2)
    assert one.facts is None
    assert other.facts is not None
    assert other.facts.size == len(b"later content")


def test_patience_ends(asked: AskedFacts, path: Path) -> None:
    record = change(path)
    asked.ask(record, [bytes(path)], same=False)
    assert asked.ready(LATER + PATIENCE) == [record]


def test_at_the_last_nothing_is_kept(asked: AskedFacts, path: Path) -> None:
    record = change(path)
    asked.ask(record, [bytes(path)], same=False)
    assert asked.ready(0, last=True) == [record]


def test_no_more_wait_than_there_is_room_for(
    asked: AskedFacts, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    records = [change(path) for _ in range(3)]
    back = [asked.ask(record, [bytes(path)], same=False) for record in records]
    assert back == [[], [], [records[2]]]


def test_when_too_many_files_wait_a_record_goes_on_without(
    asked: AskedFacts, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deodar.agent.enrich.hashes.OUTSTANDING", 1)
    records = [change(path) for _ in range(2)]
    back = [asked.ask(record, [bytes(path)], same=False) for record in records]
    assert back == [[], [records[1]]]


def test_a_file_that_got_another_name_is_asked_for_again(
    asked: AskedFacts, path: Path, until: Any
) -> None:
    record = change(path)
    new = path.rename(path.with_name("new"))
    assert asked.ask(record, [bytes(path)], same=False) == []
    asked.renamed(bytes(path), bytes(new))
    asked.renamed(b"/another", b"/one")
    assert until(lambda: asked.ready(0)) == [record]
    assert record.facts is not None
    assert record.facts.sha256 == hashlib.sha256(b"content").hexdigest()


def test_a_file_that_is_gone_is_not_asked_for_for_ever(
    asked: AskedFacts, path: Path, until: Any
) -> None:
    record = change(path)
    path.unlink()
    asked.ask(record, [bytes(path)], same=False)
    asked.renamed(bytes(path), bytes(path.with_name("gone too")))
    assert until(lambda: asked.ready(0)) == [record]
    assert record.facts is None
