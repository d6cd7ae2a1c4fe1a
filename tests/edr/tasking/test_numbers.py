from __future__ import annotations

import threading

import pytest

from deodar.edr.tasking import numbers


def test_numbers_rise_and_are_given_once(database):
    taken: list[int] = []

    def take() -> None:
        for _ in range(20):
            with database.write() as connection:
                taken.append(numbers.take(connection))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == list(range(1, 81))
    with database.read() as connection:
        assert numbers.current(connection) == 80


def test_a_change_that_fails_takes_no_number(database):
    def fail() -> None:
        with database.write() as connection:
            numbers.take(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as connection:
        assert numbers.current(connection) == 0
