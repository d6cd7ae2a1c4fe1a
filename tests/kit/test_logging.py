from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from deodar.kit import logging as logs


@pytest.fixture(params=["configure", "configure_plain"])
def log(request: pytest.FixtureRequest):
    """Runs code in a program of its own and returns its log, with structlog and without."""

    def run(code: str, *, debug: bool = False) -> list[dict[str, object]]:
        program = (
            f"from deodar.kit import logging\nlogging.{request.param}('edr', debug={debug})\n{code}"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
        )
        assert ran.stdout == ""
        return [json.loads(line) for line in ran.stderr.splitlines()]

    return run


def test_a_line_is_one_json_object_with_program_part_time_and_level(log) -> None:
    (line,) = log("logging.logger('edr.ingest').info('stored', events=3)")
    timestamp = str(line.pop("timestamp"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", timestamp)
    assert line == {
        "program": "edr",
        "part": "edr.ingest",
        "event": "stored",
        "events": 3,
        "level": "info",
    }


def test_debug_lines_are_held_back_unless_asked_for(log) -> None:
    code = "logging.logger('x').debug('detail')"
    assert log(code) == []
    (line,) = log(code, debug=True)
    assert line["level"] == "debug"


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_each_level_has_its_name(log, level: str) -> None:
    (line,) = log(f"logging.logger('x').{level}('text')")
    assert (line["level"], line["event"]) == (level, "text")


def test_levels_of_others_are_told_by_their_numbers(log) -> None:
    lines = log("for level in (5, 10, 25, 30, 50): logging.logger('x').log(level, 'text')")
    assert [line["level"] for line in lines] == ["info", "warning", "critical"]


def test_values_of_secret_keys_are_hidden(log) -> None:
    (line,) = log("logging.logger('x').info('made', enrol_token='abc', password='p', tokens=2)")
    assert line["enrol_token"] == "***"
    assert line["password"] == "***"
    assert line["tokens"] == 2


def test_an_exception_is_logged_in_the_same_line(log) -> None:
    (line,) = log("try: 1 / 0\nexcept ZeroDivisionError: logging.logger('x').exception('failed')")
    assert "ZeroDivisionError" in str(line["exception"])
    assert "exc_info" not in line
    assert line["level"] == "error"


def test_values_that_json_does_not_know_are_shown_as_python_does(log) -> None:
    (line,) = log("logging.logger('x').info('text', path=b'a', word='日')")
    assert (line["path"], line["word"]) == ("b'a'", "日")


def test_plain_logs_load_neither_structlog_nor_asyncio() -> None:
    code = (
        "import sys; from deodar.kit import logging; logging.configure_plain('agent');"
        "logging.logger('x').info('text'); print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"structlog", "asyncio", "logging"} & set(ran.stdout.split())


def test_listeners_hear_what_is_written_with_secrets_hidden():
    heard: list[tuple[str, str]] = []
    end = logs.listen(lambda level, text: heard.append((level, text)))
    log = logs.logger("kit.test")
    log.warning("refused", reason="why", api_token="hidden")
    try:
        int("inside")
    except ValueError as error:
        log.exception("failed")
        log.log(40, "failed", exc_info=error)
    log.debug("below the level")
    end()
    log.warning("nobody hears")
    assert heard[0] == ("warning", "kit.test: refused reason=why api_token=***")
    assert [text.count("ValueError: invalid") for _level, text in heard[1:]] == [1, 1]
