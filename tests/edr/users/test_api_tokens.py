from __future__ import annotations

import pytest
from sqlalchemy import select

from deodar.edr.errors import NotKnown
from deodar.edr.tables import audit
from deodar.edr.tables_users import api_tokens
from deodar.edr.users import api_tokens as module
from deodar.edr.users.errors import NotPossible
from deodar.edr.users.identity import Identity
from deodar.edr.users.roles import Role

from .conftest import PASSWORD


def test_a_token_shows_who_it_belongs_to_and_its_own_role(tokens):
    made = tokens.make("root", "backup", Role.AUDITOR, 1)
    assert tokens.identify(made.secret) == Identity("root", Role.AUDITOR, token=made.token.id)
    assert tokens.identify(made.secret + "x") is None
    assert tokens.identify(made.secret.removeprefix(module.PREFIX)) is None
    (listed,) = tokens.list("root")
    assert (listed.id, listed.name) == (made.token.id, "backup")
    assert listed.used_us > 0


def test_the_secret_is_kept_nowhere(tokens, database):
    made = tokens.make("root", "x", Role.AUDITOR, 1)
    with database.read() as connection:
        kept = [*connection.execute(select(api_tokens)), *connection.execute(select(audit))]
    assert made.secret not in str(kept)
    assert made.secret.removeprefix(module.PREFIX) not in str(kept)


def test_a_role_counts_only_as_far_as_the_user_has_it_now(tokens, users):
    users.add("operator", Role.ADMINISTRATOR, PASSWORD)
    made = tokens.make("operator", "x", Role.ADMINISTRATOR, 1)
    users.change("operator", role=Role.AUDITOR)
    assert tokens.identify(made.secret).role is Role.AUDITOR
    with pytest.raises(NotPossible, match="auditor"):
        tokens.make("operator", "y", Role.SECURITY_OFFICER, 1)


def test_an_outdated_or_revoked_token_and_one_of_a_user_who_went_is_not_good(
    tokens, users, monkeypatch
):
    users.add("operator", Role.AUDITOR, PASSWORD)
    revoked, outdated = (tokens.make("root", "x", Role.AUDITOR, days) for days in (2, 1))
    gone = tokens.make("operator", "x", Role.AUDITOR, 3)
    tokens.revoke(revoked.token.id)
    users.remove("operator")
    assert tokens.identify(outdated.secret) is not None
    later = module.now_us() + 86_400_000_000
    monkeypatch.setattr(module, "now_us", lambda: later)
    assert [tokens.identify(one.secret) for one in (revoked, outdated, gone)] == [None] * 3
    assert tokens.list() == []


@pytest.mark.parametrize("days", [0, -1, 367, float("inf"), float("nan")])
def test_the_end_of_a_token_is_bounded(tokens, days):
    with pytest.raises(NotPossible, match="days"):
        tokens.make("root", "x", Role.AUDITOR, days)


def test_only_so_many_tokens(tokens, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    for _ in range(2):
        tokens.make("root", "x", Role.AUDITOR, 1)
    with pytest.raises(NotPossible, match="revoke"):
        tokens.make("root", "x", Role.AUDITOR, 1)


def test_another_users_token_is_not_revoked_under_a_name(tokens, users):
    users.add("operator", Role.AUDITOR, PASSWORD)
    made = tokens.make("root", "x", Role.AUDITOR, 1)
    with pytest.raises(NotKnown):
        tokens.revoke(made.token.id, "operator")
    assert tokens.revoke(made.token.id, "root") == made.token
    with pytest.raises(NotKnown):
        tokens.make("nosuch", "x", Role.AUDITOR, 1)
