from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from deodar.edr import installation as installations

from .conftest import read_token


def deodar(*words: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "deodar", "edr", *map(str, words)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_init_makes_a_folder_and_tells_its_fingerprint(tmp_path):
    done = deodar("init", "--dir", tmp_path / "e", "--host", "127.0.0.1", "--port", 0, "--json")
    (told,) = lines(done)
    made = installations.open_(tmp_path / "e")
    assert told["pin"] == made.pin
    assert made.settings.names[0] == "127.0.0.1"
    again = deodar("init", "--dir", tmp_path / "e")
    assert again.returncode == 1
    assert b"already" in again.stderr


def test_init_takes_names_and_history(tmp_path):
    words = ("--name", "edr.example", "--name", "10.0.0.1", "--history", "PT2H")
    assert deodar("init", "--dir", tmp_path / "e", *words).returncode == 0
    made = installations.open_(tmp_path / "e")
    assert made.settings.names == ("edr.example", "10.0.0.1")
    assert made.settings.events_api.history == "PT2H"
    bad = deodar("init", "--dir", tmp_path / "f", "--history", "some")
    assert bad.returncode == 2
    assert b"history" in bad.stderr


def test_a_token_for_an_agent_is_one_line(installation):
    done = deodar("enroll", "--dir", installation.directory.path)
    assert done.stdout.count(b"\n") == 1
    told = read_token(done.stdout.decode().strip())
    assert told["pin"] == installation.pin
    bad = deodar("enroll", "--dir", installation.directory.path, "--valid", "tomorrow")
    assert bad.returncode == 1
    assert b"ISO 8601" in bad.stderr


def test_status_says_that_nothing_runs(installation):
    done = deodar("status", "--dir", installation.directory.path)
    assert done.returncode == 1
    assert b"does not run" in done.stderr


def test_an_import_without_a_server_goes_into_the_log(installation, tmp_path):
    folder = installation.directory.path
    good = tmp_path / "good.ndjson"
    good.write_bytes(b'{"EventType":"process","Id":"a"}\n{"EventType":"module","Id":"b"}\n')
    (done,) = lines(deodar("import", good, "--dir", folder, "--json"))
    assert done == {"lines": 2, "events": 2, "dead": 0}
    mixed = deodar(
        "import", "-", "--dir", folder, stdin=b'{"EventType":"process"}\n\nbroken\n{"EventType'
    )
    assert mixed.returncode == 4
    assert re.search(rb"1 events from 4 lines, 2 dead letters", mixed.stdout)
    listed = lines(deodar("dead-letters", "list", "--dir", folder, "--json"))
    assert sorted(row["line"] for row in listed) == [3, 4]


def test_a_file_that_cannot_be_read_is_named(installation):
    done = deodar("import", "/no/such/file", "--dir", installation.directory.path)
    assert done.returncode == 1
    assert b"/no/such/file" in done.stderr


@pytest.mark.parametrize(
    "words",
    [("run",), ("enroll",), ("import", "-"), ("external-systems", "list"), ("endpoints", "list")],
)
def test_a_folder_that_is_not_there_is_told(tmp_path, words):
    done = deodar(*words, "--dir", tmp_path / "absent")
    assert done.returncode == 3
    assert b"deodar edr init" in done.stderr
