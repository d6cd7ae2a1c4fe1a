from __future__ import annotations

import pytest
from sqlalchemy import select

from deodar.edr.errors import NotKnown, RulesProblem
from deodar.edr.scanning import rules as module
from deodar.edr.scanning.rules import Rules
from deodar.edr.tables import audit

EVIL = 'rule evil { strings: $a = "EVIL" condition: $a }'


@pytest.fixture
def rules(database) -> Rules:
    return Rules(database)


def test_sets_are_added_shown_replaced_and_removed(rules, database):
    assert (rules.version(), rules.texts()) == ("", {})
    made = rules.add("mine", EVIL)
    assert (made.name, made.rules) == ("mine", 1)
    first = rules.version()
    again = rules.add("mine", EVIL + EVIL.replace("evil", "more"))
    assert again.rules == 2
    assert rules.version() not in ("", first)
    assert [one.name for one in rules.list()] == ["mine"]
    assert rules.text("mine").count("rule") == 2
    assert rules.remove("mine").digest == again.digest
    with pytest.raises(NotKnown, match="yara list"):
        rules.remove("mine")
    with pytest.raises(NotKnown):
        rules.text("mine")
    with database.read() as connection:
        actions = list(connection.execute(select(audit.c.action)).scalars())
    assert actions == ["yara add", "yara add", "yara remove"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a b", EVIL, "no name for rules"),
        ("", EVIL, "no name for rules"),
        ("a", "rule a { condition: b }", "unknown identifier"),
        ("a", "// nothing", "no rule in it"),
        ("a", EVIL + "\0", "NUL"),
        ("a", "x" * (module.LARGEST + 1), "larger than"),
    ],
)
def test_what_is_not_taken(rules, name, text, told):
    with pytest.raises(RulesProblem, match=told):
        rules.add(name, text)
    assert rules.list() == []


def test_there_is_a_bound_on_all_of_them(rules, monkeypatch):
    monkeypatch.setattr(module, "MOST_SETS", 1)
    rules.add("a", EVIL)
    with pytest.raises(RulesProblem, match="1 sets of rules"):
        rules.add("b", EVIL)
    rules.add("a", EVIL)  # in place of the one that is there
    monkeypatch.setattr(module, "MOST_SETS", 9)
    monkeypatch.setattr(module, "LARGEST_ALL", 60)
    with pytest.raises(RulesProblem, match="larger than 60"):
        rules.add("b", EVIL)
