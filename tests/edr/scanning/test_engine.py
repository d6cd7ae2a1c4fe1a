from __future__ import annotations

import os
import signal
import time

import pytest

from deodar.edr.errors import RulesProblem
from deodar.edr.scanning import engine as module
from deodar.edr.scanning.engine import Engine, check

EVIL = 'rule evil { strings: $a = "EVIL" condition: $a }'
SLOW = "rule slow { condition: for all i in (0..100000000000000) : (uint8(i % 9) != 256) }"


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"some EVIL bytes")
    return path


def test_files_are_scanned_in_one_process(engine, file):
    assert engine.use({"a": EVIL}) == 1
    for _ in range(3):
        (match,) = engine.scan(file, 5).matches
        assert (match.set, match.rule) == ("a", "evil")
    assert engine.starts == 1
    assert engine.use({"a": EVIL, "b": EVIL}) == 2
    assert len(engine.scan(file, 5).matches) == 2


def test_rules_that_are_wrong_are_told(engine, file):
    with pytest.raises(RulesProblem, match="unknown identifier"):
        engine.use({"a": "rule a { condition: b }"})
    assert engine.scan(file, 5).error == "there are no rules"
    with pytest.raises(RulesProblem):
        check({"a": "odd"})
    assert check({"a": EVIL}) == 1


def test_a_process_that_was_killed_is_started_again_with_its_rules(engine, file):
    engine.use({"a": EVIL})
    os.kill(engine.pid, signal.SIGKILL)
    first = engine.scan(file, 5)  # whether its end is seen before or in the middle of it
    assert first.error or first.matches
    assert len(engine.scan(file, 5).matches) == 1
    assert engine.starts == 2


def test_a_scan_that_takes_too_long_is_a_timeout(engine, file):
    engine.use({"a": SLOW})
    assert engine.scan(file, 1).timed_out


def test_a_process_that_does_not_answer_is_killed(engine, file, monkeypatch):
    monkeypatch.setattr(module, "GRACE", -0.5)
    engine.use({"a": SLOW})
    pid = engine.pid
    began = time.monotonic()
    assert engine.scan(file, 1).timed_out
    assert time.monotonic() - began < 5
    assert engine.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_file_that_needs_too_much_memory_is_an_error_and_no_more(engine, tmp_path, file):
    large = tmp_path / "large"
    with large.open("wb") as opened:
        opened.truncate(2 << 30)
    engine.use({"a": EVIL})
    assert engine.scan(large, 20).error
    assert len(engine.scan(file, 20).matches) == 1


def test_a_file_that_is_gone_is_an_error(engine, tmp_path):
    engine.use({"a": EVIL})
    assert "No such file" in engine.scan(tmp_path / "gone", 5).error
