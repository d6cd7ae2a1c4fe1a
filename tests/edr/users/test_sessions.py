from __future__ import annotations

import pytest
from sqlalchemy import select

from deodar.edr.settings import Sessions as Limits
from deodar.edr.tables_users import sessions as table
from deodar.edr.users import sessions as module
from deodar.edr.users.roles import Role
from deodar.edr.users.sessions import NewSession, Sessions

from .conftest import PASSWORD


@pytest.fixture
def sessions(database, users) -> Sessions:
    return Sessions(database, Limits(idle=600, longest=3600))


def begin(sessions: Sessions, database, user: str = "root") -> NewSession:
    with database.write() as connection:
        return sessions.make(connection, user, Role.ADMINISTRATOR, "192.0.2.1", "a browser")


def later(monkeypatch, seconds: float) -> None:
    now = module.now_us() + int(seconds * 1_000_000)
    monkeypatch.setattr(module, "now_us", lambda: now)


def test_a_secret_stands_for_its_user_and_is_kept_nowhere(sessions, database):
    made = begin(sessions, database)
    found = sessions.identify(made.secret)
    assert found == made.identity
    assert (found.name, found.role, found.token) == ("root", Role.ADMINISTRATOR, "")
    assert found.csrf == module.csrf_token(made.secret) != module.csrf_token(made.secret + "x")
    assert [sessions.identify(wrong) for wrong in ("", "x", "x" * 10_000)] == [None] * 3
    with database.read() as connection:
        assert made.secret not in str(connection.execute(select(table)).all())


def test_a_session_ends_when_it_is_not_used(sessions, database, monkeypatch):
    made = begin(sessions, database)
    later(monkeypatch, 599)
    assert sessions.identify(made.secret) is not None  # which is a use
    later(monkeypatch, 599)
    assert sessions.identify(made.secret) is not None
    later(monkeypatch, 601)
    assert sessions.identify(made.secret) is None
    assert sessions.list("root") == []


def test_a_session_ends_after_the_longest_time_in_any_case(sessions, database, monkeypatch):
    made = begin(sessions, database)
    for _ in range(7):
        later(monkeypatch, 500)
        assert sessions.identify(made.secret) is not None
    later(monkeypatch, 200)
    assert sessions.identify(made.secret) is None


@pytest.mark.parametrize("change", ["password", "role", "disabled", "removed"])
def test_a_change_of_the_user_ends_their_sessions(sessions, database, users, change):
    users.add("operator", Role.ADMINISTRATOR, PASSWORD)
    made, other = begin(sessions, database, "operator"), begin(sessions, database)
    if change == "password":
        users.set_password("operator", PASSWORD + "2")
    elif change == "role":
        users.change("operator", role=Role.AUDITOR)
    elif change == "disabled":
        users.change("operator", disabled=True)
        users.change("operator", disabled=False)
    else:
        users.remove("operator")
    assert sessions.identify(made.secret) is None
    assert sessions.identify(other.secret) is not None


def test_a_logout_ends_one_session(sessions, database):
    first, second = begin(sessions, database), begin(sessions, database)
    sessions.end(first.identity.session)
    assert sessions.identify(first.secret) is None
    assert sessions.identify(second.secret) is not None


def test_a_user_has_only_so_many_and_outdated_ones_go(sessions, database, monkeypatch):
    made = []
    for _ in range(module.MOST + 3):
        later(monkeypatch, 0.001)
        made.append(begin(sessions, database))
    good = [sessions.identify(one.secret) is not None for one in made]
    assert good == [False] * 3 + [True] * module.MOST
    assert len(sessions.list("root")) == module.MOST
    later(monkeypatch, 3601)
    begin(sessions, database)
    with database.read() as connection:
        assert len(connection.execute(select(table)).all()) == 1
