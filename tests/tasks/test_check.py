from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.strategies import values

from deodar.tasks.check import flatten, item_number, merge, nest, normal, parse, values_of
from deodar.tasks.declarations import KINDS
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.settings import (
    BehaviorDetectionSettings,
    Endpoint,
    KataEdrSettings,
)

ANY = [pytest.param(kind, id=name) for name, kind in KINDS.items()]


def test_what_is_not_given_has_its_default() -> None:
    settings, ignored = parse(KataEdrSettings, {"RequestTimeout": 2})
    assert settings == msgspec.structs.replace(KataEdrSettings(), request_timeout=2.0)
    assert ignored == []


def test_names_are_read_in_any_case_and_in_the_flat_form() -> None:
    settings, _ = parse(
        KataEdrSettings,
        {
            "ADDRESS": "10.0.0.1",
            "port": "44",
            "maximumdatatransfertime": 2,
            "eNABLETelemetry": "no",
        },
    )
    assert settings.endpoints == (Endpoint(address="10.0.0.1", port=44),)
    assert settings.event_transfer_settings.maximum_data_transfer_time == 2
    assert not settings.enable_telemetry


def test_flat_names_and_their_section_go_together_when_they_differ() -> None:
    settings, _ = parse(
        KataEdrSettings,
        {"MaximumDataTransferTime": 2, "EventTransferSettings": {"UseRequestCountLimits": "No"}},
    )
    assert settings.event_transfer_settings.maximum_data_transfer_time == 2
    assert not settings.event_transfer_settings.use_request_count_limits


def test_names_without_a_function_are_reported() -> None:
    given = {"Mode": "edrkata", "EventTransferSettings": {"MaximumNumberOfEventsInPackage": 9}}
    assert parse(KataEdrSettings, given)[1] == [
        "Mode",
        "EventTransferSettings.MaximumNumberOfEventsInPackage",
    ]
    given = {"TaskMode": "Notify", "useaep": True}
    assert parse(BehaviorDetectionSettings, given)[1] == ["TaskMode", "UseAEP"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"Mode": "EDRExpertOnPrem"}, "Mode=EDRExpertOnPrem: Deodar has only EDRKATA"),
        ({"RequestTimout": 1}, "RequestTimout: there is no such setting"),
        ({"RequestTimout": 1}, "did you mean RequestTimeout?"),
        ({"x\x1b[1m": 1}, "x\\x1b[1m: there is no such setting"),
        ({"Bogus": 1}, "there are: UseClientPinnedCertificate, SynchronizationPeriod, "),
        ({"RequestTimeout": 1, "requesttimeout": 2}, "RequestTimeout: it is given twice"),
        ({"Port": 1, "Endpoints": [{"Port": 2}]}, "it is given twice, or both in the flat form"),
        ({"Endpoints": []}, "Endpoints: 1 to 16 sections are expected, not 0"),
        ({"Endpoints": [{}] * 17}, "1 to 16 sections are expected, not 17"),
        ({"Endpoints": 5}, "Endpoints=5: a list of sections"),
        ({"Endpoints": {"first": {}}}, "Endpoints.first: item_0000, … is expected here"),
        ({"Endpoints": {"item_0": {}, "item_00": {}}}, "Endpoints.item_00: it is given twice"),
        ({"Endpoints": [5]}, "Endpoints.item_0000=5: settings by name are expected"),
        ({"Endpoints": [{}, {"Port": 0}]}, "Endpoints.item_0001.Port=0: a whole number from 1"),
        ({"Endpoints": [{"Address": "a b"}]}, "Endpoints.item_0000.Address=a b: it is no address"),
        ({"EventTransferSettings": []}, "EventTransferSettings: settings by name are expected"),
        ({"MaximumDataTransferTime": 0}, "Settings.MaximumDataTransferTime=0: a number"),
        ({"EventTransferSettings": {"EventLimitExceededPercentage": 4}}, "from 5 to 100 (percent)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(told)) as caught:
        parse(KataEdrSettings, given, "x.json")
    assert str(caught.value).startswith("x.json: ")
    assert caught.value.exit_code == 2


def test_settings_that_are_no_object_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="settings by name are expected"):
        parse(KataEdrSettings, [1])  # type: ignore[arg-type]


def test_a_list_may_be_numbered_in_any_way() -> None:
    given = {"item_7": {"Port": 3}, "ITEM_0003": {"Port": 2}, "item_000001": {"Port": 1}}
    settings, _ = parse(KataEdrSettings, {"Endpoints": given})
    assert [endpoint.port for endpoint in settings.endpoints] == [1, 2, 3]
    assert item_number("item_0012") == 12
    assert item_number("item_") == item_number("item_x") == -1


@pytest.mark.parametrize("count", [0, 1000])
def test_trusted_programs_may_be_none_and_many(count: int) -> None:
    programs = [{"ProgramPath": f"/opt/{number}/**"} for number in range(count)]
    settings, _ = parse(BehaviorDetectionSettings, {"TrustedPrograms": programs})
    assert len(settings.trusted_programs) == count


def test_a_trusted_program_has_a_path() -> None:
    with pytest.raises(InvalidSetting, match=r"item_0000\.ProgramPath: it must be given"):
        parse(BehaviorDetectionSettings, {"TrustedPrograms": [{"ProgramDesc": "x"}]})
    programs = [{"ProgramPath": "/a"}, {"ProgramPath": "bin"}]
    with pytest.raises(InvalidSetting, match=r"item_0001\.ProgramPath=bin: a full path"):
        parse(BehaviorDetectionSettings, {"TrustedPrograms": programs})


@pytest.mark.parametrize("kind", ANY)
@given(st.data())
def test_any_settings_that_are_allowed_are_taken_as_they_are(kind, data: st.DataObject) -> None:
    given = data.draw(values(kind))
    checked, ignored = normal(kind, given)
    assert (checked, ignored) == (given, [])
    settings, _ = parse(kind, given)
    assert parse(kind, values_of(settings))[0] == settings


@pytest.mark.parametrize("kind", ANY)
@given(st.data())
def test_anything_is_settings_or_refused(kind, data: st.DataObject) -> None:
    names = st.sampled_from(["Port", "Endpoints", "item_0000", "UseMDR", "TrustedPrograms", "x"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    tree = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    )
    given = data.draw(st.dictionaries(names, tree, max_size=4))
    with suppress(InvalidSetting):
        assert isinstance(parse(kind, given)[0], kind)


BASE = {"A": 1, "L": [{"x": 1, "y": 1}, {"x": 2, "y": 2}], "S": {"b": 1, "c": 2}}


@pytest.mark.parametrize(
    ("partial", "merged"),
    [
        ({}, BASE),
        ({"A": 2}, BASE | {"A": 2}),
        ({"S": {"c": 3}}, BASE | {"S": {"b": 1, "c": 3}}),
        ({"N": {"d": 1}}, BASE | {"N": {"d": 1}}),
        ({"L": [{"x": 9}]}, BASE | {"L": [{"x": 9}]}),
        ({"L": {"item_0001": {"x": 9}}}, BASE | {"L": [{"x": 1, "y": 1}, {"x": 9, "y": 2}]}),
        ({"L": {"item_0002": {"x": 9}}}, BASE | {"L": [*BASE["L"], {"x": 9}]}),
        ({"L": {"item_0000": None}}, BASE | {"L": [{"x": 2, "y": 2}]}),
        (
            {"L": {"item_0000": None, "item_0001": {"x": 3}, "item_0002": {"x": 4}}},
            BASE | {"L": [{"x": 3, "y": 2}, {"x": 4}]},
        ),
        ({"M": {"item_0000": {"x": 1}}}, BASE | {"M": [{"x": 1}]}),
    ],
)
def test_partial_settings_are_put_over_others(partial: Any, merged: Any) -> None:
    before = msgspec.json.encode(BASE)
    assert merge(BASE, partial) == merged
    assert msgspec.json.encode(BASE) == before


@pytest.mark.parametrize("change", [{"item_0003": {"x": 1}}, {"item_0002": None}])
def test_an_item_that_is_not_there_is_refused(change: Any) -> None:
    with pytest.raises(
        InvalidSetting, match=r"there is no item_000[23]; the next one is item_0002"
    ):
        merge(BASE, {"L": change})


@pytest.mark.parametrize("kind", ANY)
@given(st.data())
def test_flat_settings_are_nested_again(kind, data: st.DataObject) -> None:
    settings = values_of(parse(kind, data.draw(values(kind)))[0])
    assert nest(flatten(settings)) == settings


def test_a_list_is_one_setting() -> None:
    assert flatten(BASE) == {"A": 1, "L": BASE["L"], "S.b": 1, "S.c": 2}
    assert flatten({"L": {"item_0000": {"x": 1}}}) == {"L": {"item_0000": {"x": 1}}}
