from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import select

from deodar.edr.errors import NotKnown
from deodar.edr.tables import audit
from deodar.edr.users.accounts import Users
from deodar.edr.users.errors import NotPossible, WeakPassword
from deodar.edr.users.roles import Role

from .conftest import PASSWORD


def trail(database):
    with database.read() as connection:
        return connection.execute(select(audit).order_by(audit.c.number)).all()


def test_a_user_is_added_found_listed_and_removed(users):
    made = users.add("operator", Role.AUDITOR, PASSWORD)
    assert users.find("operator") == made
    assert [one.name for one in users.list()] == ["operator", "root"]
    assert [one.name for one in users.list(after="operator", limit=1)] == ["root"]
    assert users.remove("operator") == made
    with pytest.raises(NotKnown, match="operator"):
        users.find("operator")


@pytest.mark.parametrize(
    "name", ["", "Operator", "1st", "a b", "uid 0", "a" * 65, "ann\u00e4", "a\n"]
)
def test_what_cannot_be_a_name_is_refused(users, name):
    with pytest.raises(NotPossible, match="name"):
        users.add(name, Role.AUDITOR, PASSWORD)


def test_a_name_is_there_once_and_a_weak_password_makes_nobody(users):
    with pytest.raises(NotPossible, match="already"):
        users.add("root", Role.AUDITOR, PASSWORD)
    with pytest.raises(WeakPassword):
        users.add("operator", Role.AUDITOR, "weak")
    assert [one.name for one in users.list()] == ["root"]


def test_the_last_administrator_stays(users):
    for change in (
        lambda: users.remove("root"),
        lambda: users.change("root", disabled=True),
        lambda: users.change("root", role=Role.AUDITOR),
    ):
        with pytest.raises(NotPossible, match="last administrator"):
            change()
    users.add("second", Role.ADMINISTRATOR, PASSWORD)
    users.change("root", disabled=True)
    with pytest.raises(NotPossible, match="last administrator"):
        users.remove("second")


def test_where_there_is_no_administrator_yet_others_can_be_changed(database):
    users = Users(database)
    users.add("operator", Role.AUDITOR, PASSWORD)
    assert users.change("operator", role=Role.SECURITY_OFFICER).role is Role.SECURITY_OFFICER
    users.remove("operator")
    assert users.list() == []


def test_two_that_go_at_once_do_not_leave_nobody(users, database):
    users.add("second", Role.ADMINISTRATOR, PASSWORD)
    refused = []

    def remove(name: str) -> None:
        try:
            Users(database).remove(name)
        except NotPossible as error:
            refused.append(error)

    threads = [threading.Thread(target=remove, args=(name,)) for name in ("root", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(refused), len(users.list())) == (1, 1)


def test_changes_are_in_the_trail_with_before_and_after_but_no_secret(users, database):
    users.add("operator", Role.AUDITOR, PASSWORD)
    users.change("operator", role=Role.SECURITY_OFFICER)
    users.change("operator", role=Role.SECURITY_OFFICER)  # changes nothing
    users.set_password("operator", PASSWORD + "2")
    users.unlock("operator")
    users.remove("operator")
    rows = [row for row in trail(database) if row.subject == "operator"]
    assert [row.action for row in rows] == [
        "user add",
        "user change",
        "user password",
        "user unlock",
        "user remove",
    ]
    assert json.loads(rows[1].before) == {"role": "auditor", "disabled": False}
    assert json.loads(rows[1].after) == {"role": "security_officer", "disabled": False}
    assert PASSWORD not in str(trail(database))
    assert "argon2" not in str(trail(database))


@pytest.mark.parametrize("work", ["find", "remove", "unlock", "change", "set_password"])
def test_who_is_not_there_is_told(users, work):
    words = (PASSWORD,) if work == "set_password" else ()
    with pytest.raises(NotKnown, match="nosuch"):
        getattr(users, work)("nosuch", *words)
