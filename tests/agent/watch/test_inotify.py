from __future__ import annotations

import select
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.agent.watch import inotify
from deodar.agent.watch.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def queue() -> Iterator[Inotify]:
    one = Inotify()
    yield one
    one.close()


def test_what_happens_in_a_folder_is_told_with_the_name(queue: Inotify, tmp_path: Path) -> None:
    watch = queue.add(str(tmp_path))
    (tmp_path / "one").write_text("x")
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "two").unlink()
    assert select.select([queue], [], [], 5)[0] == [queue]
    found = [*queue.read()]
    masks = 0
    for change in found:
        masks |= change.mask
    wanted = (inotify.CREATE, inotify.MODIFY, inotify.CLOSE_WRITE, inotify.MOVED_FROM)
    for mask in (*wanted, inotify.MOVED_TO, inotify.DELETE):
        assert masks & mask
    assert {change.name for change in found} == {b"one", b"two"}
    assert {change.watch for change in found} == {watch}


def test_reading_and_what_is_not_watched_any_more_is_not_told(
    queue: Inotify, tmp_path: Path
) -> None:
    (tmp_path / "one").write_text("x")
    watch = queue.add(str(tmp_path))
    (tmp_path / "one").read_text()
    assert [*queue.read()] == []
    queue.remove(watch)
    (tmp_path / "one").write_text("y")
    assert [change.mask for change in queue.read()] == [inotify.IGNORED]


def test_only_folders_can_be_watched(queue: Inotify, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        queue.add(str(tmp_path / "absent"))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        queue.add(str(tmp_path / "file"))


def test_an_overflow_is_told(queue: Inotify, tmp_path: Path) -> None:
    queue.add(str(tmp_path))
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 2 + 1):
        path = tmp_path / str(number)
        path.touch()
        path.unlink()
    assert any(change.mask & inotify.OVERFLOW for change in queue.read())
