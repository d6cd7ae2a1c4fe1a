from __future__ import annotations

from deodar.edr import tables_users
from deodar.edr.tables import metadata


def test_the_tables_belong_to_the_metadata_and_keep_no_secret_in_the_clear():
    assert tables_users.users is metadata.tables["users"]
    for table in (tables_users.api_tokens, tables_users.sessions):
        assert "hash" in table.c
        assert "secret" not in table.c
