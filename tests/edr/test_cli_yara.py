from __future__ import annotations

import pytest

from deodar.edr.errors import EdrError, NotKnown, RulesProblem

from .commands import run, told

EVIL = 'rule evil { strings: $a = "EVIL" condition: $a }\n'


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


def test_rules_are_added_listed_shown_and_removed(folder, tmp_path):
    assert "No YARA rules yet" in run("yara", "list", "--dir", folder)
    file = tmp_path / "mine.yar"
    file.write_text(EVIL)
    assert "mine" in run("yara", "add", file, "--dir", folder)
    (made,) = told("yara", "add", "-", "--name", "other", "--dir", folder, stdin=EVIL.encode())
    assert (made["name"], made["rules"]) == ("other", 1)
    assert [one["name"] for one in told("yara", "list", "--dir", folder)] == ["mine", "other"]
    assert run("yara", "show", "mine", "--dir", folder) == EVIL
    run("yara", "remove", "mine", "--dir", folder)
    with pytest.raises(NotKnown):
        run("yara", "show", "mine", "--dir", folder)


def test_what_is_not_taken_is_told(folder, tmp_path):
    file = tmp_path / "mine.yar"
    file.write_bytes(b"rule a { condition: b }")
    with pytest.raises(RulesProblem, match="unknown identifier"):
        run("yara", "add", file, "--dir", folder)
    file.write_bytes(b"\xff")
    with pytest.raises(EdrError, match="not UTF-8"):
        run("yara", "add", file, "--dir", folder)
    with pytest.raises(EdrError, match="No such file"):
        run("yara", "add", tmp_path / "missing", "--dir", folder)
