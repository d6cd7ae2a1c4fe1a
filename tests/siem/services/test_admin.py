from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.siem.services.conftest import SET, paired

from deodar.kit.directory import StateDirectory
from deodar.siem.errors import NotPossible
from deodar.siem.services import admin
from deodar.siem.setup import Source, add_collector
from deodar.tls.certificates import fingerprint


def test_a_service_is_made_with_the_command_that_installs_it(known):
    known.sets.save("branch", SET)
    made = admin.add(known, "branch-1", "branch")
    words = shlex.split(made.command)
    assert words[words.index("--id") + 1] == made.id
    assert words[words.index("--token") + 1] == made.token
    pin = fingerprint(known.home.read("authority.pem"))
    assert words[words.index("--pin") + 1] == pin
    assert [row.status for row in admin.rows(known)] == ["blue"]
    assert admin.rows(known, "green") == []
    assert admin.token(known, "branch-1").token != made.token


def test_a_reset_says_how_the_next_certificate_comes(known, service):
    paired(known, "branch-1")
    assert "recovery secret" in admin.reset_certificate(known, "branch-1", new_token=False).how
    done = admin.reset_certificate(known, "branch-1", new_token=True)
    assert "--token deodar-service:" in done.command


def test_a_local_one_finds_it_in_its_folder(known):
    source = Source(urls=("edr:9443",), insecure=True)
    folder = StateDirectory(Path(add_collector(known.home, "kedr", source).folder))
    before = folder.read("core-client.pem")
    assert "folder" in admin.reset_certificate(known, "kedr", new_token=False).how
    assert folder.read("core-client.pem") != before
    with pytest.raises(NotPossible):
        admin.reset_certificate(known, "kedr", new_token=True)


def test_the_storage_has_none(known):
    known.register.adopt("00000000-0000-5000-8000-000000000001", "storage", "storage", "t")
    with pytest.raises(NotPossible, match="core's own"):
        admin.reset_certificate(known, "storage", new_token=False)


def test_go_to_events(known, service):
    found = admin.events(known, "branch-1")
    assert (found.name, found.id) == ("branch-1", service.id)
    assert service.id in found.sql
