from __future__ import annotations

import contextlib
import json

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.errors import NotKnown
from deodar.edr.users.accounts import Users
from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.errors import NotPossible
from deodar.edr.users.roles import Role


@pytest.fixture
def folder(installation) -> str:
    with contextlib.closing(installation.database()) as database:
        Users(database).add("operator", Role.SECURITY_OFFICER, "long enough for anybody")
    return str(installation.directory.path)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["token", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_token_is_made_listed_and_revoked(folder, installation):
    secret = run("create", "operator", "--role", "auditor", "--name", "backup", "--dir", folder)
    with contextlib.closing(installation.database()) as database:
        tokens = ApiTokens(database)
        assert tokens.identify(secret.strip()).role is Role.AUDITOR
        listed = run("list", "--dir", folder)
        assert "backup" in listed
        assert secret.strip() not in listed
        (row,) = map(
            json.loads, run("list", "--user", "operator", "--json", "--dir", folder).splitlines()
        )
        run("revoke", row["id"], "--dir", folder)
        assert tokens.identify(secret.strip()) is None
    assert "no API tokens" in run("list", "--dir", folder)


def test_a_role_above_the_users_and_what_is_not_there_are_told(folder):
    with pytest.raises(NotPossible, match="security_officer"):
        run("create", "operator", "--role", "administrator", "--dir", folder)
    with pytest.raises(NotPossible, match="366"):
        run("create", "operator", "--role", "auditor", "--days", "400", "--dir", folder)
    with pytest.raises(NotKnown):
        run("create", "nosuch", "--role", "auditor", "--dir", folder)
    with pytest.raises(NotKnown):
        run("revoke", "nosuch", "--dir", folder)


def test_json_has_the_secret_and_the_token(folder):
    made = json.loads(run("create", "operator", "--role", "auditor", "--json", "--dir", folder))
    assert made["secret"].startswith("deodar-api:")
    assert made["token"]["user"] == "operator"
