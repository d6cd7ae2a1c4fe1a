from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deodar.agent.loss import Loss, LossBook
from deodar.agent.packets import Packer
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import Spool


def test_losses_of_one_kind_are_one_entry() -> None:
    book = LossBook()
    book.add(3, "queue", "full", 100, 200)
    book.add(4, "queue", "full", 50, 150)
    book.add(1, "spool", "full", 1, 2)
    queue, spool = book.take()
    assert (queue.count, queue.first_ns, queue.last_ns) == (7, 50, 200)
    assert (spool.stage, spool.count) == ("spool", 1)
    assert book.totals() == {"queue": 7, "spool": 1}


def test_what_was_taken_is_not_taken_again() -> None:
    book = LossBook()
    book.add(3, "queue", "full")
    assert len(book.take()) == 1
    assert book.take() == []
    assert book.totals() == {"queue": 3}


def test_loss_without_times_was_now() -> None:
    book = LossBook()
    before = time.time_ns()
    book.add(1, "queue", "full")
    (loss,) = book.take()
    assert before <= loss.first_ns <= loss.last_ns <= time.time_ns()


def test_nothing_lost_is_no_entry() -> None:
    book = LossBook()
    book.add(0, "queue", "full")
    book.add(-5, "queue", "full")
    assert book.take() == []


def test_nothing_is_forgotten_between_threads() -> None:
    book = LossBook()
    taken: list[int] = []

    def add() -> None:
        for _ in range(2000):
            book.add(1, "queue", "full")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += [loss.count for loss in book.take()]
    taken += [loss.count for loss in book.take()]
    assert sum(taken) == 8000


# The file


class Ticks:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_losses_that_nobody_was_told_of_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    book = LossBook(path)
    book.add(3, "queue", "full", 100, 200)
    book.save()
    again = LossBook(path)
    again.add(4, "queue", "full", 50, 150)
    (loss,) = again.take()
    assert (loss.count, loss.first_ns, loss.last_ns) == (7, 50, 200)
    assert again.totals() == {"queue": 4}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_killed_process_forgets_nothing_that_was_saved(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from deodar.agent.loss import LossBook\n"
        "book = LossBook(Path(sys.argv[1])); book.mark_running(77.0)\n"
        "book.add(5, 'queue', 'full'); book.save(now=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "losses.json"
    done = subprocess.run([sys.executable, "-c", code, path], timeout=60)
    assert done.returncode == -signal.SIGKILL
    book = LossBook(path)
    assert [loss.count for loss in book.take()] == [5]
    assert book.unclean_since() == 77.0


def test_the_file_is_written_when_something_changed_and_once_a_second(tmp_path: Path) -> None:
    path, clock = tmp_path / "losses.json", Ticks()
    book = LossBook(path, clock=clock)
    book.save()
    assert not path.exists()
    book.add(1, "queue", "full")
    book.save()
    first = path.stat().st_ino
    book.add(1, "queue", "full")
    clock.now = 0.9
    book.save()
    assert path.stat().st_ino == first
    assert [loss.count for loss in LossBook(path).take()] == [1]
    book.save(now=True)
    before = path.read_bytes()
    clock.now = 5.0
    book.save()
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["losses.json"]


def test_a_loss_stays_until_its_event_is_in_the_spool(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    book = LossBook(path)
    book.add(3, "queue", "full")
    (taken,) = book.take()
    assert taken.id
    (again,) = LossBook(path).take()
    assert (again.id, again.count) == (taken.id, 3)
    book.confirm([taken.id, "unknown"])
    assert LossBook(path).take() == []
    assert book.take() == []


def test_what_comes_after_it_was_taken_is_a_loss_of_its_own(tmp_path: Path) -> None:
    book = LossBook(tmp_path / "losses.json")
    book.add(3, "queue", "full")
    (first,) = book.take()
    book.add(2, "queue", "full")
    (second,) = book.take()
    assert (first.count, second.count) == (3, 2)
    assert first.id != second.id


def test_a_loss_in_the_spool_is_not_told_again_though_the_agent_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    book = LossBook(path)
    book.add(3, "queue", "full")
    (loss,) = book.take()
    spool = Spool(tmp_path / "spool", SpoolSettings(), LossBook())  # killed before the book knew
    spool.put(Packer().pack([b"{}"], 1, 2, (0, 0, 1), [loss.id]))
    spool.close()
    again = LossBook(path)
    Spool(tmp_path / "spool", SpoolSettings(), again).close()
    assert again.take() == []


def test_the_spool_confirms_what_a_packet_reports(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    book = LossBook(path)
    book.add(3, "queue", "full")
    (loss,) = book.take()
    spool = Spool(tmp_path / "spool", SpoolSettings(), book)
    spool.put(Packer().pack([b"{}"], 1, 2, (0, 0, 1), [loss.id]))
    assert LossBook(path).take() == []
    spool.close()


def test_an_intended_loss_counts_when_its_step_was_done(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    book = LossBook(path)
    for mark in ("done", "not done"):
        book.intend(mark, Loss(5, "spool", mark, 1, 2))
    again = LossBook(path)
    assert again.intended() == ["done", "not done"]
    assert again.take() == []
    again.resolve("done", done=True)
    again.resolve("not done", done=False)
    again.resolve("unknown", done=True)
    assert [loss.reason for loss in again.take()] == ["done"]
    assert LossBook(path).intended() == []


def test_a_stop_in_good_order_leaves_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "losses.json"
    book = LossBook(path)
    assert book.unclean_since() is None
    book.mark_running(100.0)
    book.mark_running(160.0)
    assert book.unclean_since() is None
    killed = LossBook(path)
    assert killed.unclean_since() == 160.0
    killed.mark_running(500.0)
    assert killed.unclean_since() == 160.0
    killed.mark_stopped()
    assert LossBook(path).unclean_since() is None


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"open": 3}'])
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "losses.json"
    path.write_bytes(content)
    book = LossBook(path)
    assert book.take() == []
    assert (tmp_path / "losses.json.damaged").read_bytes() == content
    book.add(1, "queue", "full")
    book.save()
    assert [loss.count for loss in LossBook(path).take()] == [1]


def test_a_disk_that_refuses_is_told_and_tried_again(tmp_path: Path) -> None:
    folder, clock = tmp_path / "later", Ticks()
    book = LossBook(folder / "losses.json", clock=clock)
    book.add(1, "queue", "full")
    book.save()
    assert "No such file" in book.problem
    folder.mkdir()
    clock.now = 2.0
    book.save()
    assert book.problem == ""
    assert [loss.count for loss in LossBook(folder / "losses.json").take()] == [1]
