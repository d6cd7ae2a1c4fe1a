from __future__ import annotations

import json

import pytest
from tests.siem.services.conftest import SET
from tests.siem.test_cli import deodar


@pytest.fixture(scope="module")
def siem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "siem"
    deodar("init", "--dir", folder)
    (folder / "set.toml").write_text(SET)
    deodar("resource-set", "save", "branch", folder / "set.toml", "--dir", folder)
    return folder


def test_from_add_to_delete(siem):
    where = ("--dir", siem)
    made = deodar("service", "add", "branch-1", "--set", "branch", *where)
    assert "sudo deodar siem collector --core https://127.0.0.1:7210 --id" in made.stdout
    assert "only services on this host reach it" in made.stderr
    listed = deodar("service", "list", *where).stdout
    for text in ("blue", "branch-1", "tenant", "FQDN", "API port", "uptime"):
        assert text in listed
    shown = deodar("service", "show", "branch-1", *where).stdout
    assert "not paired yet" in shown
    row = json.loads(deodar("service", "show", "branch-1", *where, "--json").stdout)
    events = deodar("service", "events", "branch-1", *where)
    assert f"ServiceID = '{row['id']}'" in events.stdout
    assert "--token" in deodar("service", "token", row["id"], *where).stdout
    assert "branch-1 reloads" in deodar("service", "reload", "branch-1", *where).stdout
    assert "never reported" in deodar("service", "restart", "branch-1", *where, code=1).stderr
    deodar("service", "disable", "branch-1", *where)
    assert json.loads(deodar("service", "list", "--status", "grey", *where, "--json").stdout)
    deodar("service", "enable", "branch-1", *where)
    log = deodar("service", "log", "branch-1", *where, code=1)
    assert "deodar siem run" in log.stderr
    deodar("service", "delete", "branch-1", *where, "--yes")
    assert "no services" in deodar("service", "list", *where).stdout


def test_a_deletion_is_asked_about_first(siem):
    ran = deodar("service", "delete", "absent", "--dir", siem, code=1)
    assert "not delivered yet" in ran.stdout


def test_what_is_not_known_is_told_in_one_line(siem):
    for words in (("show", "absent"), ("reload", "absent"), ("add", "x", "--set", "absent")):
        ran = deodar("service", *words, "--dir", siem, code=1)
        assert "no service" in ran.stderr or "no resource set" in ran.stderr
        assert len(ran.stderr.strip().splitlines()) == 1
