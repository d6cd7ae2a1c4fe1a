from __future__ import annotations

from deodar.agent.watch.survey import LONGEST, changed, differences, shown


def test_differences_begin_with_what_is_gone() -> None:
    found = [*differences({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5})]
    assert found == [("a", 1, None), ("c", 3, 4), ("d", None, 5)]


def test_changed_tells_only_what_is_different() -> None:
    assert changed("shell", "/bin/sh", "/bin/sh") == []
    assert changed("groups", ("a",), ("a", "b")) == ["groups: a -> a, b"]
    assert changed("locked", old=False, new=True) == ["locked: no -> yes"]


def test_shown_is_short_and_on_one_line() -> None:
    assert shown("a\nb  c") == "a b c"
    assert shown("") == shown(()) == "none"
    assert len(shown("x" * 1000)) == LONGEST
