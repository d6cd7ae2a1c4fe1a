from __future__ import annotations

import json

import pytest
from tests.siem.here import here
from tests.siem.services.conftest import SET

HOOK = """
[[destinations]]
name = "hook"
kind = "http"
urls = ["https://siem.example"]
token_file = "hook.token"
"""


@pytest.fixture(scope="module")
def siem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "siem"
    here("init", "--dir", folder)
    return folder


def test_from_check_to_delete(siem, tmp_path):
    where, file = ("--dir", siem), tmp_path / "set.toml"
    file.write_text(SET)
    assert "can be a resource set" in here("resource-set", "check", file).stdout
    saved = here("resource-set", "save", "branch", file, *where)
    assert "version 1 is saved" in saved.stdout
    assert "certificate (SHA-256)" in saved.stdout
    text = json.loads(here("resource-set", "show", "branch", *where, "--json").stdout)["settings"]
    file.write_text(text + HOOK)
    (tmp_path / "secret").write_text("open sesame")
    missing = here("resource-set", "save", "branch", file, *where, code=2)
    assert "destinations[0].token_file: the set has no file hook.token" in missing.stderr
    given = ("--file", f"hook.token={tmp_path / 'secret'}", "--note", "a hook", "--reload")
    assert "version 2" in here("resource-set", "save", "branch", file, *given, *where).stdout
    shown = here("resource-set", "show", "branch", *where).stdout
    assert shown.startswith(text)
    assert "# file hook.token" in shown
    assert "sesame" not in shown
    versions = here("resource-set", "versions", "branch", *where).stdout
    assert "a hook" in versions
    assert json.loads(here("resource-set", "list", *where, "--json").stdout)["version"] == 2
    here("resource-set", "delete", "branch", *where)
    assert "no resource sets" in here("resource-set", "list", *where).stdout


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (SET.replace("urls", "url"), (), "did you mean `urls`"),
        ("nonsense", (), "not valid TOML"),
        (SET, ("--file", "x"), "NAME=PATH"),
        (SET, ("--file", "x=/absent"), "cannot read"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(siem, tmp_path, text, options, told):
    (tmp_path / "set.toml").write_text(text)
    words = ("resource-set", "save", "x", tmp_path / "set.toml", *options, "--dir", siem)
    ran = here(*words, code=2)
    assert told in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
