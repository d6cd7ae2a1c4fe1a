from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from deodar.edr.tables import audit
from deodar.edr.tables_users import login_failures
from deodar.edr.users import lockout
from deodar.edr.users.errors import LockedOut
from deodar.edr.users.lockout import Attempt


class Clock:
    def __init__(self) -> None:
        self.us = 10**15

    def __call__(self) -> int:
        return self.us

    def forward(self, seconds: float) -> None:
        self.us += int(seconds * 1_000_000)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(lockout, "now_us", made)
    return made


def tried(database, times: int, user: str = "operator", address: str = "192.0.2.1") -> int:
    """Fail so many times; return how many of them were let through."""
    through = 0
    for _ in range(times):
        try:
            lockout.begin(database, Attempt(user, address))
            through += 1
        except LockedOut:
            pass
    return through


def good(database, user: str, address: str) -> None:
    attempt = Attempt(user, address)
    lockout.begin(database, attempt)
    with database.write() as connection:
        lockout.succeeded(connection, attempt)


def test_a_user_is_locked_for_a_time_that_grows(database, clock):
    assert tried(database, 9) == 5
    for locked in (30, 60, 120):
        with pytest.raises(LockedOut) as caught:
            lockout.begin(database, Attempt("operator", "192.0.2.9"))
        assert caught.value.retry_after == locked
        clock.forward(locked - 0.5)
        assert tried(database, 1) == 0
        clock.forward(1)
        assert tried(database, 2) == 1
    assert tried(database, 1, user="second") == 1


def test_the_time_has_an_end():
    assert [lockout.seconds(n, 5) for n in (0, 4, 5, 6, 11)] == [0, 0, 30, 60, 1920]
    assert [lockout.seconds(n, 5) for n in (12, 1000)] == [3600, 3600]


def test_an_address_is_locked_whatever_names_it_tries(database, clock):
    through = sum(tried(database, 1, user=f"user{n}") for n in range(40))
    assert through == 20
    assert tried(database, 1, user="user0", address="192.0.2.2") == 1


def test_one_network_of_ipv6_is_one_address(database, clock):
    through = sum(tried(database, 1, f"u{n}", f"2001:db8::{n:x}") for n in range(1, 40))
    assert through == 20
    assert tried(database, 1, "other", "2001:db8:1::1") == 1


def test_a_good_login_ends_a_users_failures_but_not_an_addresss(database, clock):
    assert tried(database, 4) == 4
    good(database, "operator", "192.0.2.1")
    assert tried(database, 4) == 4
    for n in range(11):
        assert tried(database, 1, user=f"u{n}") == 1
        good(database, "second", "192.0.2.1")
    assert tried(database, 2, user="last") == 1


def test_failures_are_forgotten_after_a_day(database, clock):
    tried(database, 4)
    clock.forward(86_401)
    assert tried(database, 5) == 5


def test_attempts_at_once_are_no_way_round(database):
    through = []
    threads = [
        threading.Thread(target=lambda: through.append(tried(database, 3))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(through) == 5


def test_what_is_remembered_is_bounded_and_the_oldest_go(database, clock, monkeypatch):
    monkeypatch.setattr(lockout, "MOST", 5)
    for n in range(12):
        clock.forward(1)
        tried(database, 1, f"u{n}", f"192.0.2.{n}")
    with database.read() as connection:
        kinds = select(login_failures.c.kind, func.count()).group_by(login_failures.c.kind)
        assert dict(map(tuple, connection.execute(kinds))) == {"user": 5, "address": 5}
        kept = connection.execute(select(login_failures.c.key)).scalars().all()
    assert "u11" in kept
    assert "u0" not in kept


def test_locks_are_in_the_trail_but_not_of_names_that_nobody_has(database, clock, users):
    tried(database, 5, user="root")
    tried(database, 5, user="made up")
    tried(database, 10, user="another", address="192.0.2.1")
    tried(database, 10, user="one more", address="192.0.2.1")
    with database.read() as connection:
        locks = select(audit).where(audit.c.action == "login lock")
        first, second = connection.execute(locks.order_by(audit.c.number)).all()
    assert (first.subject, second.subject) == ("user root", "address 192.0.2.1")
    assert "5 failures, 30 seconds" in first.details
