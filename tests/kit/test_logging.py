from __future__ import annotations

import json
import subprocess
import sys


def _log(code: str) -> list[dict[str, object]]:
    program = f"from deodar.kit import logging\nlogging.configure('edr', debug=False)\n{code}"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout == ""
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_a_line_is_one_json_object_with_program_part_time_and_level():
    (line,) = _log("logging.logger('edr.ingest').info('stored', events=3)")
    assert line["program"] == "edr"
    assert line["part"] == "edr.ingest"
    assert line["event"] == "stored"
    assert line["events"] == 3
    assert line["level"] == "info"
    assert str(line["timestamp"]).endswith("Z")


def test_debug_lines_are_held_back_unless_asked_for():
    assert _log("logging.logger('x').debug('detail')") == []


def test_values_of_secret_keys_are_hidden():
    (line,) = _log("logging.logger('x').info('made', enrol_token='abc', password='p', tokens=2)")
    assert line["enrol_token"] == "***"
    assert line["password"] == "***"
    assert line["tokens"] == 2


def test_an_exception_is_logged_in_the_same_line():
    (line,) = _log("try: 1 / 0\nexcept ZeroDivisionError: logging.logger('x').exception('failed')")
    assert "ZeroDivisionError" in str(line["exception"])
