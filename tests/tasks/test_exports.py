from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.strategies import values

from deodar.tasks.check import values_of
from deodar.tasks.declarations import KINDS
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.exports import (
    all_from_ini,
    all_from_json,
    all_to_ini,
    from_json,
    to_json,
)
from deodar.tasks.settings import KataEdrSettings

EVERYTHING = st.fixed_dictionaries(
    {}, optional={name: values(kind) for name, kind in KINDS.items()}
)


def test_each_task_has_its_own_sections() -> None:
    text = all_to_ini(
        {
            "KATAEDR": {"Endpoints": [{"Address": "h"}], "EnableTelemetry": True},
            "Behavior_Detection": {"TrustedPrograms": [{"ProgramPath": "/a b"}]},
            "KATAEDR_Prevention": {},
            "Application": {"UseProxy": False},
        }
    )
    assert text == (
        "[KATAEDR]\nEnableTelemetry=Yes\n\n[KATAEDR.Endpoints.item_0000]\nAddress=h\n\n"
        "[Behavior_Detection]\n\n[Behavior_Detection.TrustedPrograms.item_0000]\n"
        'ProgramPath="/a b"\n\n[KATAEDR_Prevention]\n\n[Application]\nUseProxy=No\n'
    )


@given(EVERYTHING)
def test_everything_comes_back_from_its_text(everything) -> None:
    assert all_from_ini(all_to_ini(everything), "x.ini") == everything
    assert all_from_json(to_json(everything), "x.json") == everything


def test_the_settings_of_a_task_come_back_from_json() -> None:
    given = values_of(KataEdrSettings())
    assert from_json(to_json(given).encode(), KataEdrSettings, "") == given


def test_tasks_and_names_are_read_in_any_case() -> None:
    text = "[kataedr]\nport=1\n[KATAEDR.eventtransfersettings]\nuserequestcountlimits=no\n"
    assert all_from_ini(text, "") == {
        "KATAEDR": {
            "Endpoints": [{"Port": 1}],
            "EventTransferSettings": {"UseRequestCountLimits": False},
        }
    }


def test_tasks_that_only_kesl_has_are_kept_by_name() -> None:
    text = (
        "[File_Threat_Protection]\nScanArchived=Yes\n[File_Threat_Protection.Scope.item_0000]\na=1"
    )
    assert all_from_ini(text, "") == {"File_Threat_Protection": {}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("EnableTelemetry=Yes", "x, line 1: EnableTelemetry: settings of everything stand below"),
        ("\n[KATAED]", "x, line 2: there is no task 'KATAED'; did you mean KATAEDR?"),
        ("[KATAEDR]\nPort=0", "x, line 2: KATAEDR.Endpoints.item_0000.Port=0: a whole number"),
        ("[Application]\nUseMRD=1", "x, line 2: Application.UseMRD: there is no such setting"),
        ('{"KATAEDR": {}}', "x, line 1: Name=Value is expected; for JSON say so (--json)"),
    ],
)
def test_what_is_wrong_in_ini_is_told(text: str, told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(told)):
        all_from_ini(text, "x")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[KATAEDR]\nPort=1", "x: it is not JSON"),
        ("", "x: it is not JSON"),
        ("[" * 100_000, "x: it is not JSON"),
        ("[1]", "x: a JSON object of settings is expected"),
        (b"\xff{}", "x, line 1: it is not UTF-8 text"),
        ('{"KATAEDR": 5}', "x: KATAEDR: settings of everything stand below their task"),
        ('{"KATAEDR": {}, "kataedr": {}}', "x: KATAEDR is given twice"),
        ('{"KATAEDR": {"Port": 0}}', "x: KATAEDR.Endpoints.item_0000.Port=0: a whole number"),
        ('{"Nothing": {}}', "x: there is no task 'Nothing'"),
    ],
)
def test_what_is_wrong_in_json_is_told(text: str | bytes, told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(told)):
        all_from_json(text, "x")


def test_a_byte_order_mark_does_no_harm() -> None:
    assert from_json(b"\xef\xbb\xbf{}", KataEdrSettings, "") == {}
