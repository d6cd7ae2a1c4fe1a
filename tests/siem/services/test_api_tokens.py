from __future__ import annotations

import pytest
from sqlalchemy import select, update

from deodar.siem.errors import NotKnown, NotPossible
from deodar.siem.services.api_tokens import ApiTokens
from deodar.siem.services.database import now_us
from deodar.siem.services.roles import Role
from deodar.siem.services.tables import api_tokens


@pytest.fixture
def tokens(known):
    return ApiTokens(known.database)


def test_a_token_shows_who_asks_until_it_is_revoked(tokens):
    made = tokens.make("anna", Role.VIEWER, 1)
    found = tokens.identify(made.secret)
    assert (found.user, found.role) == ("anna", Role.VIEWER)
    assert tokens.list()[0].used_us
    tokens.revoke(made.token.id)
    assert tokens.identify(made.secret) is None
    with pytest.raises(NotKnown, match="api-token list"):
        tokens.revoke(made.token.id)


def test_its_secret_is_nowhere(known, tokens):
    made = tokens.make("anna", Role.ADMINISTRATOR, 1)
    with known.database.read() as connection:
        assert made.secret not in str(connection.execute(select(api_tokens)).all())


def test_it_ends(known, tokens):
    made = tokens.make("anna", Role.VIEWER, 1)
    with known.database.write() as connection:
        connection.execute(update(api_tokens).values(expires_us=now_us() - 1))
    assert tokens.identify(made.secret) is None
    assert tokens.list() == []


@pytest.mark.parametrize(("user", "days"), [("anna", 0), ("anna", 400), ("", 1), ("a b", 1)])
def test_what_cannot_be_is_refused(tokens, user, days):
    with pytest.raises(NotPossible):
        tokens.make(user, Role.VIEWER, days)


@pytest.mark.parametrize("secret", ["", "guess", "deodar-siem:guess", "deodar-siem:" + "x" * 9999])
def test_what_is_no_token_is_nobody(tokens, secret):
    assert tokens.identify(secret) is None
