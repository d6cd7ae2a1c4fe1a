from __future__ import annotations

from typing import Literal

import msgspec

from deodar.siem.setting_tables import common, module_prose, prose, settings_table


class Base(msgspec.Struct, kw_only=True):
    """What all have."""

    name: str


class Settings(Base, kw_only=True):
    """With ``marks``."""

    mode: Literal["a", "b"] = "a"
    seconds: float = 1.5
    texts: list[str] = msgspec.field(default_factory=list)
    table: dict[str, str] = {}
    optional: str | None = None
    switch: bool = True


def test_a_table_has_the_settings_with_values_and_defaults():
    assert settings_table(Settings, common(Base)).splitlines() == [
        "With `marks`.",
        "",
        "| setting | value | default |",
        "|---|---|---|",
        '| `mode` | `a`, `b` | `"a"` |',
        "| `seconds` | seconds | `1.5` |",
        "| `texts` | list of texts | empty |",
        "| `table` | table of texts | empty |",
        "| `optional` | text | empty |",
        "| `switch` | true or false | `true` |",
    ]
    assert "| `name` | text | required |" in settings_table(Settings)


def test_docstrings_are_prose():
    assert prose(Settings) == "With `marks`."
    assert module_prose(settings_table).startswith("Tables of settings")
