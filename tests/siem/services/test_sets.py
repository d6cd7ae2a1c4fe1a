from __future__ import annotations

import pytest
from sqlalchemy import select
from tests.siem.services.conftest import SET

from deodar.kit.errors import SettingsError
from deodar.siem.errors import NotKnown, NotPossible, SetProblem
from deodar.siem.services import sets
from deodar.siem.services.tables import sealed_files
from deodar.tls.certificates import fingerprint, load_pair

HOOK = """
[[destinations]]
name = "hook"
kind = "http"
urls = ["https://siem.example"]
token_file = "hook.token"
"""


def test_a_set_is_saved_with_an_identity_for_its_edr_server(known):
    saved = known.sets.save("branch", SET)
    assert (saved.version, saved.changed) == (1, True)
    version = known.sets.version("branch")
    assert saved.external_id in version.settings
    files = known.sets.contents(known.sets.row("branch").id, version)
    pair = load_pair(files["secret.pem"])
    assert fingerprint(pair.certificate) == saved.certificate_sha256


def test_saving_the_same_again_is_no_version(known):
    first = known.sets.save("branch", SET)
    again = known.sets.save("branch", known.sets.version("branch").settings)
    assert (again.version, again.changed) == (1, False)
    assert again.certificate_sha256 == first.certificate_sha256


def test_each_version_keeps_its_own_text_and_files(known):
    known.sets.save("branch", SET)
    text = known.sets.version("branch").settings
    known.sets.save("branch", text + HOOK, {"hook.token": b"first"}, "a hook")
    third = known.sets.save("branch", text + HOOK, {"hook.token": b"second"})
    assert third.version == 3
    row = known.sets.row("branch")
    contents = [
        known.sets.contents(row.id, one).get("hook.token") for one in known.sets.versions("branch")
    ]
    assert contents == [b"second", b"first", None]
    assert [one.note for one in known.sets.versions("branch")] == ["", "a hook", ""]


def test_a_file_is_sealed_in_the_database(known):
    known.sets.save("branch", SET)
    text = known.sets.version("branch").settings
    known.sets.save("branch", text + HOOK, {"hook.token": b"open sesame"})
    with known.database.read() as connection:
        sealed = connection.execute(select(sealed_files.c.sealed)).scalars().all()
    assert len(sealed) == 2
    assert not [one for one in sealed if b"sesame" in one or b"PRIVATE" in one]
    database = b"".join(path.read_bytes() for path in known.home.path.glob("siem.db*"))
    assert b"open sesame" not in database


@pytest.mark.parametrize(
    ("name", "text", "files", "error", "told"),
    [
        ("../x", SET, {}, SettingsError, "cannot name"),
        ("a", SET + HOOK, {}, SetProblem, "hook.token"),
        ("a", SET, {"stray": b""}, SetProblem, "no setting names the file stray"),
        ("a", SET, {"a/b": b""}, SetProblem, "no plain name"),
        ("a", SET + HOOK, {"hook.token": b"x" * (5 << 20)}, SetProblem, "at most 4 MB"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing(known, name, text, files, error, told):
    with pytest.raises(error, match=told):
        known.sets.save(name, text, files)
    assert known.sets.all() == []


def test_a_set_in_use_stays_and_one_that_is_not_goes_with_its_files(known, service):
    with pytest.raises(NotPossible, match="in use by branch-1"):
        known.sets.delete("branch")
    assert known.sets.all()[0].services == known.sets.row("branch").services == ("branch-1",)
    known.register.delete("branch-1")
    known.sets.delete("branch")
    with known.database.read() as connection:
        assert connection.execute(select(sealed_files)).all() == []
    with pytest.raises(NotKnown, match="resource-set list"):
        known.sets.version("branch")


def test_versions_are_bounded_but_for_the_one_that_a_service_runs_with(known, service, monkeypatch):
    monkeypatch.setattr(sets, "KEPT_VERSIONS", 3)
    text = known.sets.version("branch").settings
    for number in range(6):
        known.sets.save("branch", f"{text}# {number}\n")
    assert [one.version for one in known.sets.versions("branch")] == [7, 6, 5, 1]
    with pytest.raises(NotKnown, match="no version 3"):
        known.sets.version("branch", 3)
