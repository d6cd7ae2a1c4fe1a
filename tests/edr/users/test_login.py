from __future__ import annotations

import statistics
import time

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from deodar.edr.settings import Sessions as Limits
from deodar.edr.tables import audit
from deodar.edr.tables_users import users as table
from deodar.edr.users import lockout, passwords
from deodar.edr.users.errors import LockedOut, LoginRefused, WeakPassword
from deodar.edr.users.login import Login
from deodar.edr.users.roles import Role
from deodar.edr.users.sessions import Sessions

from .conftest import PASSWORD

ADDRESS = "192.0.2.1"


@pytest.fixture
def login(database, users) -> Login:
    return Login(database, Limits())


def trail(database) -> list[tuple[str, str, str, str]]:
    query = select(audit.c.action, audit.c.subject, audit.c.user, audit.c.address)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(audit.c.number)).all()]


def test_a_login_gives_a_session_and_is_in_the_trail(login, database, users):
    made = login.log_in("root", PASSWORD, ADDRESS, "a browser")
    assert Sessions(database, Limits()).identify(made.secret) == made.identity
    assert users.find("root").last_login_us > 0
    (session,) = Sessions(database, Limits()).list("root")
    assert (session.address, session.client) == (ADDRESS, "a browser")
    assert trail(database)[-1] == ("login", "root", "root", ADDRESS)


def test_who_cannot_log_in_is_told_the_same_whatever_the_reason(login, database, users):
    users.add("operator", Role.AUDITOR, PASSWORD)
    users.change("operator", disabled=True)
    texts = set()
    for name, password in (("root", "wrong"), ("nosuch", PASSWORD), ("operator", PASSWORD)):
        with pytest.raises(LoginRefused) as caught:
            login.log_in(name, password, ADDRESS)
        texts.add(str(caught.value))
    assert len(texts) == 1
    failed = [row for row in trail(database) if row[0] == "login failed"]
    assert failed == [("login failed", "root", "nobody", ADDRESS)]


def test_the_time_does_not_tell_whether_a_name_exists(login, monkeypatch):
    monkeypatch.setattr(lockout, "FREE", {"user": 1000, "address": 1000})

    def seconds(name: str) -> float:
        took = []
        for _ in range(9):
            began = time.thread_time()
            with pytest.raises(LoginRefused):
                login.log_in(name, "wrong password", ADDRESS)
            took.append(time.thread_time() - began)
        return statistics.median(took)

    assert 0.5 < seconds("nosuch") / seconds("root") < 2


def test_after_failures_even_the_right_password_must_wait(login):
    for _ in range(5):
        with pytest.raises(LoginRefused):
            login.log_in("root", "wrong", ADDRESS)
    with pytest.raises(LockedOut) as caught:
        login.log_in("root", PASSWORD, ADDRESS)
    assert 0 < caught.value.retry_after <= 30


def test_an_unlocked_user_may_try_again(login, users):
    for _ in range(5):
        with pytest.raises(LoginRefused):
            login.log_in("root", "wrong", ADDRESS)
    users.unlock("root")
    login.log_in("root", PASSWORD, ADDRESS)


def test_good_logins_never_lock(login):
    for _ in range(25):
        login.log_in("root", PASSWORD, ADDRESS)


def test_ones_own_password_is_changed_with_the_old_one(login, database):
    made = login.log_in("root", PASSWORD, ADDRESS)
    with pytest.raises(WeakPassword):
        login.change_password("root", PASSWORD, "weak", ADDRESS)
    with pytest.raises(LoginRefused):
        login.change_password("root", "wrong", PASSWORD + "2", ADDRESS)
    login.change_password("root", PASSWORD, PASSWORD + "2", ADDRESS)
    assert Sessions(database, Limits()).identify(made.secret) is None
    with pytest.raises(LoginRefused):
        login.log_in("root", PASSWORD, ADDRESS)
    login.log_in("root", PASSWORD + "2", ADDRESS)


def test_a_hash_of_older_parameters_is_made_anew_at_the_login(login, database):
    old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    with database.write() as connection:
        connection.execute(update(table).values(password=old))
    login.log_in("root", PASSWORD, ADDRESS)
    with database.read() as connection:
        kept = connection.execute(select(table.c.password)).scalar_one()
    assert not passwords.is_outdated(kept)
    login.log_in("root", PASSWORD, ADDRESS)
