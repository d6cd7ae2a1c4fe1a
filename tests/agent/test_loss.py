from __future__ import annotations

import threading
import time

from deodar.agent.loss import LossBook


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
