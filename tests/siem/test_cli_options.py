from __future__ import annotations

import asyncio
import json

import pytest

from deodar.kit.errors import SettingsError, StateError
from deodar.siem.cli_options import (
    connector_table,
    edr_source,
    plain,
    print_ready,
    run_until_stopped,
    siem_home,
    when,
)


def test_texts_of_others_have_no_power_over_the_terminal():
    assert plain("[red]\x1b[2J").plain == "[red]\\x1b[2J"


def test_a_time_is_told_with_its_age():
    assert when(0) == "never"
    assert when(86400.0).startswith("1970-01-02 00:00:00+00:00 (")


def test_the_ready_line_is_one_json_object(capsys):
    print_ready({"url": "https://127.0.0.1:7210"})
    line = json.loads(capsys.readouterr().out)
    assert line["ready"] is True
    assert line["url"] == "https://127.0.0.1:7210"
    assert line["pid"] > 0


def test_an_error_in_a_task_comes_out_as_itself():
    async def fail():
        raise StateError("the disk is gone")

    async def work(_stop):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    with pytest.raises(StateError, match="the disk is gone"):
        run_until_stopped(work)


def test_a_missing_folder_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(StateError, match="deodar siem init"):
        siem_home(tmp_path / "absent")


def test_options_become_a_source():
    source = edr_source(["a", "b"], ["pin"], None, False, 5, 0.5, 9.0, "x == 1")
    assert (source.urls, source.pins, source.max_events) == (("a", "b"), ("pin",), 5)
    assert (source.max_timeout, source.client_timeout, source.filter) == (0.5, 9.0, "x == 1")


def test_settings_of_a_connector_are_toml_or_plain_text_and_dots_lead_into_tables():
    given = ["port=5", "paths=['/a', '/b']", "host=0.0.0.0", "tls.ca=x.pem", "tls.insecure=true"]
    assert connector_table("file", given) == {
        "kind": "file",
        "port": 5,
        "paths": ["/a", "/b"],
        "host": "0.0.0.0",
        "tls": {"ca": "x.pem", "insecure": True},
    }
    for broken in ("port", "=5", "a..b=1"):
        with pytest.raises(SettingsError, match="give KEY=VALUE"):
            connector_table("tcp", [broken])
    with pytest.raises(SettingsError, match="no table"):
        connector_table("tcp", ["tls=1", "tls.ca=x"])
