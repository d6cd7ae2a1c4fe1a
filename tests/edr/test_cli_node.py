from __future__ import annotations

import json
import subprocess

import pytest
from tests.edr.conftest import deodar

from deodar.edr import installation as installations
from deodar.edr.settings import EdrSettings, Ingest, Stream


@pytest.fixture
def first(postgresql, tmp_path):
    stream = Stream(urls=("nats://127.0.0.1:1",))
    settings = EdrSettings(
        store="clickhouse://db/edr", database=postgresql.made(), ingest=Ingest(stream=stream)
    )
    return installations.init(tmp_path / "one", settings)


def test_a_node_is_added_joined_listed_and_removed(first, tmp_path):
    here = first.directory.path
    added = deodar("node", "add", "two", tmp_path / "two.bundle", "--dir", here)
    assert "deodar edr node join two.bundle" in added
    assert (tmp_path / "two.bundle").stat().st_mode & 0o777 == 0o600
    words = ("--dir", tmp_path / "two", "--host", "127.0.0.2", "--port", "9444", "--json")
    joined = json.loads(deodar("node", "join", tmp_path / "two.bundle", *words))
    assert (joined["name"], joined["pin"]) == ("two", first.pin)
    second = installations.open_(tmp_path / "two")
    assert (second.settings.host, second.settings.port) == ("127.0.0.2", 9444)
    listed = json.loads(deodar("node", "list", "--dir", tmp_path / "two", "--json"))
    assert (listed["name"], listed["state"]) == ("two", "added")
    assert "removed" in deodar("node", "remove", "two", "--dir", here)
    actions = deodar("audit", "list", "--dir", here, "--json")
    assert "node add" in actions
    assert "node remove" in actions


def test_a_bundle_that_cannot_be_written_adds_no_node(first, tmp_path):
    (tmp_path / "there").write_text("")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        deodar("node", "add", "two", tmp_path / "there", "--dir", first.directory.path)
    assert b"cannot write" in failed.value.stderr
    listed = json.loads(deodar("node", "list", "--dir", first.directory.path, "--json"))
    assert listed["state"] == "removed"


def test_a_server_alone_says_how_to_have_several(tmp_path):
    installations.init(tmp_path / "alone", EdrSettings())
    with pytest.raises(subprocess.CalledProcessError) as failed:
        deodar("node", "add", "two", tmp_path / "b", "--dir", tmp_path / "alone")
    assert b"ingest.stream.urls" in failed.value.stderr
