from __future__ import annotations

import time

import pytest

from deodar.agent.tasking import book as module
from deodar.agent.tasking.book import FILE, Book
from deodar.kit.errors import StateError
from deodar.response.wire import TaskOrder

from .conftest import order, orders


def test_what_was_told_is_known_after_a_restart(directory):
    book = Book(directory)
    assert book.number == 0
    assert book.take(orders(order("a"), order("b"), number=7)) == []
    again = Book(directory)
    assert (again.number, again.waiting) == (7, 2)
    assert again.is_of("s1")
    assert not again.is_of("s2")
    begun = again.begin()
    assert begun is not None
    assert begun.id == "a"
    assert Book(directory).left_over() == ["a"]
    again.end("a")
    assert Book(directory).left_over() == []
    assert Book(directory).waiting == 1


def test_a_task_is_taken_once_however_often_it_is_told(directory):
    book = Book(directory)
    for _ in range(3):
        book.take(orders(order("a")))
    assert book.waiting == 1
    book.begin()
    book.end("a")
    assert Book(directory).take(orders(order("a"))) == []
    assert Book(directory).begin() is None


def test_another_server_is_asked_from_the_beginning(directory):
    book = Book(directory)
    book.take(orders(order("a"), number=9))
    book.forget_number("s2")
    assert (book.number, book.waiting) == (0, 1)
    assert book.is_of("anybody")  # nothing of it is known as yet


def test_tasks_for_which_there_is_no_room_come_back(directory, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    book = Book(directory)
    over = book.take(orders(order("a"), order("b"), order("c")))
    assert [task.id for task in over] == ["c"]
    assert book.waiting == 2


def test_when_the_disk_takes_nothing_nothing_was_taken(directory, monkeypatch):
    book = Book(directory)

    def refuse(*_: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(type(directory), "write_secret", refuse)
    with pytest.raises(StateError):
        book.take(orders(order("a"), number=5))
    assert (book.number, book.waiting) == (0, 0)
    monkeypatch.undo()
    book.take(orders(order("a"), number=5))
    assert (book.number, book.waiting) == (5, 1)


def test_a_damaged_file_is_begun_anew(directory):
    directory.write(FILE, b"{half")
    assert Book(directory).number == 0


def test_lateness_is_told_by_the_servers_clock(directory):
    book = Book(directory)
    ahead = time.time_ns() // 1000 + 3600 * 1_000_000
    told = orders(number=1)
    book.take(type(told)("s1", 1, ahead))
    soon = TaskOrder("a", "k", {}, 1, ahead + 60_000_000)
    over = TaskOrder("a", "k", {}, 1, ahead - 60_000_000)
    assert not book.is_late(soon)
    assert book.is_late(over)
