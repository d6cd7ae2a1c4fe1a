from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.strategies import values

from deodar.tasks.check import merge, parse, values_of
from deodar.tasks.declarations import KINDS
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.ini import assignment, flat, from_ini, to_ini
from deodar.tasks.settings import (
    ApplicationSettings,
    BehaviorDetectionSettings,
    Endpoint,
    KataEdrSettings,
)

SECTIONED = """\
UseClientPinnedCertificate=No
SynchronizationPeriod=5
ConnectionTimeout=10
RequestTimeout=10
EnableTelemetry=Yes

[Endpoints.item_0000]
Address=127.0.0.1
Port=443

[EventTransferSettings]
MaximumDataTransferTime=30
UseRequestCountLimits=Yes
MaximumNumberOfEventsInHour=3000
EventLimitExceededPercentage=15
"""
FLAT = """\
Address=192.0.2.10
Port=8443
UseClientPinnedCertificate=yes
MaximumDataTransferTime=5
UseRequestCountLimits=NO
Mode=EDRKATA
"""


def test_the_sectioned_form_is_written() -> None:
    assert to_ini(values_of(KataEdrSettings())) == SECTIONED
    assert from_ini(SECTIONED, KataEdrSettings, "") == values_of(KataEdrSettings())


def test_the_flat_form_is_read() -> None:
    settings, ignored = parse(KataEdrSettings, from_ini(FLAT, KataEdrSettings, ""))
    assert settings.endpoints == (Endpoint(address="192.0.2.10", port=8443),)
    assert settings.use_client_pinned_certificate
    assert settings.event_transfer_settings.maximum_data_transfer_time == 5
    assert not settings.event_transfer_settings.use_request_count_limits
    assert ignored == ["Mode"]


def test_only_what_a_file_gives_is_returned() -> None:
    assert from_ini("", KataEdrSettings, "") == {}
    assert from_ini("[Endpoints.item_3]\nPort=1", KataEdrSettings, "") == {
        "Endpoints": [{"Port": 1}]
    }


def test_an_empty_list_is_written_and_read() -> None:
    text = to_ini({"UseTrustedPrograms": True, "TrustedPrograms": []})
    assert text == "UseTrustedPrograms=Yes\nTrustedPrograms=\n"
    assert from_ini(text, BehaviorDetectionSettings, "")["TrustedPrograms"] == []


def test_ignored_names_stay_for_who_applies_the_settings() -> None:
    text = "tracelevel=None\nuseksn=yes\n"
    assert from_ini(text, ApplicationSettings, "") == {"TraceLevel": "None", "UseKSN": "yes"}
    text = "[EventTransferSettings]\nMaximumNumberOfEventsInPackage=9\n[Mode]\nx.y=1\n"
    with pytest.raises(InvalidSetting, match="Deodar has only EDRKATA"):
        from_ini(text, KataEdrSettings, "")
    given = from_ini(text.partition("[M")[0], KataEdrSettings, "")
    assert parse(KataEdrSettings, given)[1] == ["MaximumNumberOfEventsInPackage"]
    given = from_ini("[TaskMode]\nx.y=1", BehaviorDetectionSettings, "")
    assert given == {"TaskMode": {"x": {"y": "1"}}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\nSynchronizationPeriod=61", "line 2: SynchronizationPeriod=61: a whole number from 1"),
        ("SyncPeriod=1", "line 1: SyncPeriod: there is no such setting; did you mean Synchr"),
        ("[Endpoint.item_0000]\nPort=1", "line 1: Endpoint: there is no such setting; did you"),
        ("\n[EventTransfer]", "line 2: EventTransfer: there is no such setting; did you"),
        ("[Endpoints.item_0000]\nPort=1\n\n[Endpoints.item_0001]\nAddress=a b", "line 5: Endp"),
        ("Address=h\n[Endpoints.item_0000]\nAddress=i", "line 1: Endpoints.item_0000.Address: it"),
        ("[Endpoints.item_1]\nPort=1\n[Endpoints.item_01]\nPort=2", "line 3: Endpoints.item_01: "),
        ("[Endpoints]\nPort=1", "line 2: Endpoints.Port: item_0000, … is expected here"),
        ("EnableTelemetry=", "line 1: EnableTelemetry: Yes or No is expected"),
        ("EnableTelemetry=true", "line 1: EnableTelemetry=true: Yes or No is expected"),
        ("Mode=EDRExpertOnPrem", "line 1: Mode=EDRExpertOnPrem: Deodar has only EDRKATA"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(f"KATAEDR.ini, {told}")):
        from_ini(text, KataEdrSettings, "KATAEDR.ini")


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])
@given(st.data())
def test_any_settings_come_back_from_their_file(kind, data: st.DataObject) -> None:
    given = data.draw(values(kind))
    assert from_ini(to_ini(given), kind, "x.ini") == given
    settings, _ = parse(kind, given)
    text = to_ini(values_of(settings))
    assert parse(kind, from_ini(text.encode(), kind, "x.ini"))[0] == settings
    assert to_ini(values_of(parse(kind, from_ini(text, kind, ""))[0])) == text


def test_words_of_a_command_line_change_single_settings() -> None:
    words = ["EventTransferSettings.MaximumDataTransferTime=5", "endpoints.item_0001.port=444"]
    assert assignment([*words, "EnableTelemetry = no"], KataEdrSettings) == {
        "EnableTelemetry": False,
        "Endpoints": {"item_0001": {"Port": 444}},
        "EventTransferSettings": {"MaximumDataTransferTime": 5},
    }


def test_the_flat_form_of_a_word_changes_the_first_server() -> None:
    base = {"Endpoints": [{"Address": "a", "Port": 1}, {"Address": "b", "Port": 2}]}
    partial = assignment(["Address=c", "MaximumDataTransferTime=7"], KataEdrSettings)
    assert merge(base, partial) == {
        "Endpoints": [{"Address": "c", "Port": 1}, {"Address": "b", "Port": 2}],
        "EventTransferSettings": {"MaximumDataTransferTime": 7},
    }


def test_a_word_adds_and_takes_out_items() -> None:
    base = {"TrustedPrograms": [{"ProgramPath": "/a"}, {"ProgramPath": "/b"}]}
    words = ["TrustedPrograms.item_0000=", "TrustedPrograms.item_2.ProgramPath=/c d"]
    assert merge(base, assignment(words, BehaviorDetectionSettings)) == {
        "TrustedPrograms": [{"ProgramPath": "/b"}, {"ProgramPath": "/c d"}]
    }
    assert merge(base, assignment(["TrustedPrograms="], BehaviorDetectionSettings)) == {
        "TrustedPrograms": []
    }


def test_a_word_may_have_quotes_blanks_and_signs() -> None:
    words = [
        'TrustedPrograms.item_0.ProgramPath="/a b"',
        "TrustedPrograms.item_0.ProgramDesc=x # y=z",
    ]
    assert assignment(words, BehaviorDetectionSettings) == {
        "TrustedPrograms": {"item_0000": {"ProgramPath": "/a b", "ProgramDesc": "x # y=z"}}
    }


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("EnableTelemetry", "EnableTelemetry: Name=Value is expected"),
        ("=5", "it is not the name of a setting"),
        ("EnableTelemetri=yes", "did you mean EnableTelemetry?"),
        (
            "SynchronizationPeriod=0",
            "SynchronizationPeriod=0: a whole number from 1 to 60 (minutes)",
        ),
        ("Endpoints.item_0000.Port=0", "Endpoints.item_0000.Port=0: a whole number"),
        ("Endpoints.first.Port=1", "item_0000, … is expected"),
        ("Endpoints=", "1 to 16 sections are expected, not 0"),
    ],
)
def test_a_wrong_word_is_told(word: str, told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(told)):
        assignment([word], KataEdrSettings)


def test_a_word_given_twice_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="it is given twice"):
        assignment(["Port=1", "port=2"], KataEdrSettings)


def test_single_settings_have_dotted_names() -> None:
    given = {"A": True, "L": [{"x": 'a "b"'}, {"x": "c"}], "S": {"d": 2.5}, "E": []}
    assert flat(given) == [
        ("A", "Yes"),
        ("L.item_0000.x", '"a \\"b\\""'),
        ("L.item_0001.x", "c"),
        ("S.d", "2.5"),
        ("E", ""),
    ]
