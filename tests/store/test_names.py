"""Names and texts arrive in the engine as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.store.errors import QueryError
from deodar.store.names import quote_name, quote_table, quote_text, setting_name

if TYPE_CHECKING:
    from deodar.store.chdb_engine import ChdbEngine

NAMES = ["Ioa.Rules.Name", "a`b", "back\\slash", "it's", "ü 🌲", "new\nline"]


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(deodar_store_engine: ChdbEngine, name: str) -> None:
    found = deodar_store_engine.query(f"SELECT {quote_text(name)} AS {quote_name(name)}")
    assert found.to_pylist() == [{name: name}]


def test_a_table_may_have_a_database() -> None:
    assert quote_table("events") == "`events`"
    assert quote_table("db.ev`ents") == "`db`.`ev\\`ents`"


@pytest.mark.parametrize("name", ["", "a b", "a=1", "1a", "ü"])
def test_strange_settings_are_refused(name: str) -> None:
    assert setting_name("max_threads") == "max_threads"
    with pytest.raises(QueryError):
        setting_name(name)
