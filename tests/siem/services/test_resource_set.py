from __future__ import annotations

import tomllib

import pytest
from tests.siem.services.conftest import SET

from deodar.siem.errors import SetProblem
from deodar.siem.services.resource_set import (
    Identity,
    check,
    completed,
    compose,
    is_file_name,
    references,
    secret_file,
    secret_named,
)

GOOD = completed(SET, where="set")
MINE = Identity(
    "branch-1", "00000000-0000-4000-8000-000000000001", "t", "https://core:7210", 3, "versions/3"
)
HOOK = """
[[destinations]]
name = "hook"
kind = "http"
urls = ["https://siem.example"]
token_file = "hook.token"
tls = { ca = "/etc/ssl/other.pem", certificate = "hook.pem" }
"""


def test_a_kata_connector_gets_an_external_id_once_and_keeps_the_text():
    text = completed(SET, where="set")
    assert text != SET
    assert "# What the branch office sends." in text
    assert len(tomllib.loads(text)["connector"]["external_id"]) == 36
    assert completed(text, where="set") == text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("journal_bytes", "journal_byte"), "did you mean `journal_bytes`"),
        (("1073741824", "12"), "journal_bytes"),
        (('urls = ["edr.example:443"]', 'urls = ["http://edr"]'), "connector.urls"),
        (("insecure = true", "insecure = 1"), "insecure"),
        (("[connector]", "name = 'x'\n[connector]"), "name: leave it out"),
        (("[connector]", "core = {}\n[connector]"), "core: leave it out"),
        (("journal_bytes", "journal bytes"), "not valid TOML"),
        (("insecure = true", ""), ""),
    ],
)
def test_what_cannot_run_is_told_with_its_key(change, told):
    text = GOOD.replace(*change, 1)
    if not told:
        check(text, {"secret.pem"}, where="set")
        return
    with pytest.raises(SetProblem, match=r"^set: .*") as caught:
        check(text, {"secret.pem"}, where="set")
    assert told in str(caught.value)


def test_a_missing_file_is_told_with_the_key_that_names_it():
    with pytest.raises(SetProblem, match=r"connector\.secret: the set has no file secret.pem"):
        check(GOOD, set(), where="set")
    with pytest.raises(SetProblem, match=r"destinations\[0\].token_file: .* no file hook.token"):
        check(GOOD + HOOK, {"secret.pem"}, where="set")
    check(GOOD + HOOK, {"secret.pem", "hook.token", "hook.pem"}, where="set")


def test_a_file_is_named_plainly_or_with_its_place_on_the_host():
    text = GOOD.replace("insecure = true", 'ca = "../../etc/passwd"')
    with pytest.raises(SetProblem, match="no plain name"):
        check(text, {"secret.pem"}, where="set")
    assert is_file_name("hook.token")
    assert not any(map(is_file_name, ("", "a/b", "..", ".hidden", "a\n")))


def test_a_service_gets_its_identity_and_the_places_of_its_files():
    values = tomllib.loads(compose(GOOD + HOOK, MINE, where="set"))
    assert (values["name"], values["service_id"]) == (MINE.name, MINE.service_id)
    assert (values["set_version"], values["core"]["url"]) == (3, "https://core:7210")
    assert values["connector"]["secret"] == "versions/3/secret.pem"
    hook = values["destinations"][0]
    assert hook["token_file"] == "versions/3/hook.token"
    assert hook["tls"] == {"ca": "/etc/ssl/other.pem", "certificate": "versions/3/hook.pem"}


def test_which_files_settings_name():
    settings = check(GOOD + HOOK, {"secret.pem", "hook.token", "hook.pem"}, where="set")
    assert dict(references(settings)) == {
        "connector.secret": "secret.pem",
        "destinations[0].token_file": "hook.token",
        "destinations[0].tls.ca": "/etc/ssl/other.pem",
        "destinations[0].tls.certificate": "hook.pem",
    }
    assert secret_file(settings) == secret_named(GOOD, where="set") == "secret.pem"


def test_files_of_the_stages_belong_to_the_set_too():
    text = (
        GOOD
        + """
[[dictionaries]]
name = "assets"
file = "assets.csv"

[[dictionaries]]
name = "words"
values = { file = "no file", ca = "California" }

[[enrichment]]
kind = "reputation"
name = "known"
files = ["a.csv", "/srv/b.csv"]
"""
    )
    settings = check(text, {"secret.pem", "assets.csv", "a.csv"}, where="set")
    named = [name for _path, name in references(settings)]
    assert named == ["secret.pem", "a.csv", "/srv/b.csv", "assets.csv"]
    with pytest.raises(SetProblem, match=r"enrichment\[0\]\.files: the set has no file a.csv"):
        check(text, {"secret.pem", "assets.csv"}, where="set")
    values = tomllib.loads(compose(text, MINE, where="set"))
    assert values["enrichment"][0]["files"] == ["versions/3/a.csv", "/srv/b.csv"]
    assert values["dictionaries"][0]["file"] == "versions/3/assets.csv"
    assert values["dictionaries"][1]["values"] == {"file": "no file", "ca": "California"}


def test_a_set_of_another_connector_needs_no_identity():
    text = '[connector]\nkind = "tcp"\nport = 5140\n'
    assert completed(text, where="set") == text
    assert secret_named(text, where="set") == ""
    settings = check(text, set(), where="set")
    assert secret_file(settings) == ""


def test_the_text_is_bounded():
    with pytest.raises(SetProblem, match="at most 256 KB"):
        check("#" * 300_000, set(), where="set")
