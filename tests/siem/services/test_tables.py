from __future__ import annotations

from deodar.siem.services.tables import metadata


def test_no_column_has_a_secret_in_the_clear():
    """What is kept of tokens is a hash, of files what is sealed."""
    names = {
        f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.c
    }
    assert not [name for name in names if name.endswith((".token", ".secret", ".content"))]
    assert {"pairing_tokens.hash", "api_tokens.hash", "sealed_files.sealed"} <= names
