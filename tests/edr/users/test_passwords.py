from __future__ import annotations

import statistics
import threading
import time

import pytest

from deodar.edr.errors import LogUnavailable
from deodar.edr.users import passwords
from deodar.edr.users.errors import WeakPassword

GOOD = "four words are enough"


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "12 are needed"),
        ("x" * 257, "longer than 256"),
        ("ababababababab", "different"),
        ("this is Operator's own", "name"),
        ("with a \x07 bell in it", "control"),
    ],
)
def test_what_breaks_a_rule_is_told(password, words):
    with pytest.raises(WeakPassword, match=words):
        passwords.check_rules(password, "operator")


def test_a_password_matches_its_hash_alone():
    passwords.check_rules(GOOD, "operator")
    kept = passwords.hash_password(GOOD)
    assert kept.startswith("$argon2id$")
    assert GOOD not in kept
    assert passwords.matches(kept, GOOD)
    assert not passwords.matches(kept, GOOD + " ")
    assert not passwords.matches(kept, "x" * 1_000_000)
    assert not passwords.matches("no hash at all", GOOD)
    assert passwords.hash_password(GOOD) != kept


def test_the_same_letters_typed_otherwise_are_the_same_password():
    kept = passwords.hash_password("caf\u00e9 with something")
    assert passwords.matches(kept, "cafe\u0301 with something")


def test_nobody_has_no_password_and_takes_as_long():
    kept = passwords.hash_password(GOOD)
    assert not passwords.matches(None, "the password of nobody at all")

    def seconds(whose: str | None) -> float:
        took = []
        for _ in range(9):
            began = time.thread_time()
            passwords.matches(whose, "wrong password")
            took.append(time.thread_time() - began)
        return statistics.median(took)

    assert 0.5 < seconds(None) / seconds(kept) < 2


def test_a_hash_of_other_parameters_is_outdated():
    assert not passwords.is_outdated(passwords.hash_password(GOOD))
    assert passwords.is_outdated("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + "A" * 43)


def test_few_wait_for_a_check():
    taken = [passwords._queue.acquire() for _ in range(10)]
    try:
        with pytest.raises(LogUnavailable, match="too many"):
            passwords.matches(None, "x")
    finally:
        for _ in taken:
            passwords._queue.release()


def test_few_are_checked_at_a_time(monkeypatch):
    taken = [passwords._places.acquire() for _ in range(2)]
    try:
        monkeypatch.setattr(passwords, "_WAIT_SECONDS", 0.05)
        with pytest.raises(LogUnavailable, match="too many"):
            passwords.matches(None, "x")
    finally:
        monkeypatch.undo()
        for _ in taken:
            passwords._places.release()
    threads = [threading.Thread(target=passwords.matches, args=(None, "x")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
