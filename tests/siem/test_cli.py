from __future__ import annotations

import json
import subprocess

import pytest
from tests.siem.conftest import DEODAR


def deodar(*words, code=0):
    ran = subprocess.run(
        [*DEODAR, "siem", *map(str, words)], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran


def test_init_prints_what_the_edr_administrator_compares(tmp_path):
    options = ("--edr", "edr:9443", "--edr-insecure", "--fetch-timeout", 0.5, "--json")
    made = json.loads(deodar("init", "--dir", tmp_path / "siem", *options).stdout)
    assert made["name"] == "kedr"
    assert len(made["external_id"]) == 36
    assert len(made["certificate_sha256"]) == 64
    again = deodar("init", "--dir", tmp_path / "siem", code=3)
    assert "nothing was changed" in again.stderr


def test_init_without_an_edr_server_makes_no_collector(tmp_path):
    deodar("init", "--dir", tmp_path / "siem")
    assert "no collectors" in deodar("collector", "list", "--dir", tmp_path / "siem").stdout


def test_a_wrong_address_is_told_in_one_line(tmp_path):
    ran = deodar("init", "--dir", tmp_path / "siem", "--edr", "http://edr", code=2)
    assert "only https" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_commands_without_a_siem_name_the_one_that_makes_it(tmp_path):
    for words in (("run",), ("search", "select 1 from events"), ("collector", "list")):
        assert "siem init" in deodar(*words, "--dir", tmp_path / "absent", code=3).stderr


def test_a_search_without_a_core_says_how_to_start_it(tmp_path):
    deodar("init", "--dir", tmp_path / "siem")
    ran = deodar("search", "select ID from events", "--dir", tmp_path / "siem", code=1)
    assert "deodar siem run" in ran.stderr


def test_a_forbidden_search_is_refused_before_anything_is_asked(tmp_path):
    deodar("init", "--dir", tmp_path / "siem")
    ran = deodar("search", "drop table events", "--dir", tmp_path / "siem", code=2)
    assert "only SELECT" in ran.stderr


@pytest.mark.parametrize("as_json", [True, False])
def test_a_search_prints_rows(core, as_json):
    words = ("search", "select count() as n from events", "--dir", core.home.path)
    if as_json:
        assert "n" in json.loads(deodar(*words, "--json").stdout)
    else:
        assert "1 row" in deodar(*words).stdout
