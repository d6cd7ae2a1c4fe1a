from __future__ import annotations

import json

import pytest

from deodar.edr import policy_file
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.exports import all_to_ini

INI = b"""
; for all hosts
[KATAEDR]
synchronizationperiod = 7
EnableTelemetry=Yes

[KATAEDR.Endpoints.item_0000]
Address=192.0.2.1
Port=443

[KATAEDR.EventTransferSettings]
MaximumDataTransferTime=2.5

[Application]
UseProxy=Yes
ProxyServer=user:word@192.0.2.3:3128
"""
SETTINGS = {
    "KATAEDR": {
        "SynchronizationPeriod": 7,
        "EnableTelemetry": True,
        "Endpoints": [{"Address": "192.0.2.1", "Port": 443}],
        "EventTransferSettings": {"MaximumDataTransferTime": 2.5},
    },
    "Application": {"UseProxy": True, "ProxyServer": "user:word@192.0.2.3:3128"},
}


def test_ini_and_json_say_the_same():
    assert policy_file.read(INI, "f") == (SETTINGS, [])
    assert policy_file.read(json.dumps(SETTINGS).encode(), "f") == (SETTINGS, [])
    assert policy_file.read(all_to_ini(SETTINGS).encode(), "f") == (SETTINGS, [])


def test_what_show_prints_as_json_can_be_set():
    shown = {"name": "default", "version": 4, "settings": SETTINGS}
    assert policy_file.read(b"\xef\xbb\xbf " + json.dumps(shown).encode(), "f")[0] == SETTINGS


def test_names_of_kesl_without_a_function_are_passed_over_and_told():
    data = b"[KATAEDR]\nMode=EDRKATA\nRequestTimeout=3\n[Web_Control]\nX=1\n"
    settings, passed_over = policy_file.read(data, "f")
    assert settings == {"KATAEDR": {"RequestTimeout": 3}}
    assert sorted(passed_over) == ["KATAEDR.Mode", "Web_Control"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[KATAEDR]\n\nSynchronizationPeriod=61\n", "policy.ini, line 3: KATAEDR.Synchron"),
        (b"[KATAEDR]\nSynchronisationPeriod=6\n", "SynchronizationPeriod"),
        (b"SynchronizationPeriod=6\n", r"\[KATAEDR\]"),
        (b"[Kataedr2]\nX=6\n", "Kataedr2"),
        (b"[KATAEDR]\nMode=EDRExpertOnPrem\n", "EDRKATA"),
        (b'{"KATAEDR": {"RequestTimeout": 0}}', "RequestTimeout"),
        (b'{"KATAEDR": 1}', "KATAEDR"),
        (b'{"settings": []}', "settings"),
        (b"{broken", "JSON"),
        (b"{" * 100_000, "JSON"),
        (b"\xff\xfe[", "UTF-8"),
        (b"[KATAEDR]\n" + b";" * policy_file.LARGEST, "1 MB"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(data, words):
    with pytest.raises(InvalidSetting, match=words):
        policy_file.read(data, "policy.ini")


def test_stars_stand_for_the_present_password():
    shown = policy_file.without_secrets(SETTINGS)
    assert shown["Application"]["ProxyServer"] == "user:***@192.0.2.3:3128"
    assert SETTINGS["Application"]["ProxyServer"].startswith("user:word@")
    data = json.dumps(shown).encode()
    assert policy_file.read(data, "f", SETTINGS)[0] == SETTINGS
    for present in (None, {}, {"Application": {"ProxyServer": "other:word@192.0.2.3:3128"}}):
        with pytest.raises(InvalidSetting, match="password"):
            policy_file.read(data, "f", present)
