from __future__ import annotations

import json

import pytest
from tests.siem.here import here
from tests.siem.services.conftest import SET
from tests.siem.test_cli import deodar


@pytest.fixture(scope="module")
def siem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "siem"
    here("init", "--dir", folder)
    (folder / "set.toml").write_text(SET)
    here("resource-set", "save", "branch", folder / "set.toml", "--dir", folder)
    return folder


def test_from_add_to_delete(siem):
    where = ("--dir", siem)
    made = here("service", "add", "branch-1", "--set", "branch", *where)
    assert "sudo deodar siem collector --core https://127.0.0.1:7210 --id" in made.stdout
    assert "only services on this host reach it" in made.stderr
    listed = here("service", "list", *where).stdout
    for text in ("blue", "branch-1", "tenant", "FQDN", "API port", "uptime"):
        assert text in listed
    shown = here("service", "show", "branch-1", *where).stdout
    assert "not paired yet" in shown
    row = json.loads(here("service", "show", "branch-1", *where, "--json").stdout)
    events = here("service", "events", "branch-1", *where)
    assert f"ServiceID = '{row['id']}'" in events.stdout
    assert "--token" in here("service", "token", row["id"], *where).stdout
    assert "branch-1 reloads" in here("service", "reload", "branch-1", *where).stdout
    assert "never reported" in here("service", "restart", "branch-1", *where, code=1).stderr
    here("service", "disable", "branch-1", *where)
    assert json.loads(here("service", "list", "--status", "grey", *where, "--json").stdout)
    here("service", "enable", "branch-1", *where)
    log = here("service", "log", "branch-1", *where, code=1)
    assert "deodar siem run" in log.stderr
    here("service", "delete", "branch-1", *where, "--yes")
    assert "no services" in here("service", "list", *where).stdout


def test_a_deletion_is_asked_about_first(siem):
    ran = deodar("service", "delete", "absent", "--dir", siem, code=1)
    assert "not delivered yet" in ran.stdout


def test_what_is_not_known_is_told_in_one_line(siem):
    for words in (("show", "absent"), ("reload", "absent"), ("add", "x", "--set", "absent")):
        ran = here("service", *words, "--dir", siem, code=1)
        assert "no service" in ran.stderr or "no resource set" in ran.stderr
        assert len(ran.stderr.strip().splitlines()) == 1
