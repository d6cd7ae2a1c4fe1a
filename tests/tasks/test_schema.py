from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET

from deodar.tasks.declarations import KINDS
from deodar.tasks.schema import Shape, ignored_names, near_name, schema
from deodar.tasks.settings import (
    BehaviorDetectionSettings,
    Endpoint,
    EventTransferSettings,
    KataEdrSettings,
    PreventionSettings,
    TrustedProgram,
)

WHOLE, ABOVE_0 = "a whole number", "a number above 0, at most 3600 (seconds)"


def test_every_setting_is_found_in_its_order() -> None:
    for kind in (*KINDS.values(), Endpoint, TrustedProgram, EventTransferSettings):
        names = [setting.name for setting in schema(kind).values()]
        assert names == list(kind.__struct_encode_fields__)


@pytest.mark.parametrize(
    ("kind", "name", "shape", "told"),
    [
        (KataEdrSettings, "EnableTelemetry", Shape.SWITCH, "Yes or No"),
        (KataEdrSettings, "SynchronizationPeriod", Shape.WHOLE, f"{WHOLE} from 1 to 60 (minutes)"),
        (KataEdrSettings, "RequestTimeout", Shape.DECIMAL, ABOVE_0),
        (KataEdrSettings, "Endpoints", Shape.LIST, "1 to 16 sections"),
        (KataEdrSettings, "EventTransferSettings", Shape.SECTION, "a section"),
        (Endpoint, "Address", Shape.TEXT, "an IPv4 or IPv6 address or a host's name"),
        (Endpoint, "Port", Shape.WHOLE, f"{WHOLE} from 1 to 65535"),
        (BehaviorDetectionSettings, "TrustedPrograms", Shape.LIST, "0 to 1000 sections"),
    ],
)  # fmt: skip
def test_a_setting_tells_its_range(kind, name: str, shape: Shape, told: str) -> None:
    setting = schema(kind)[name.casefold()]
    assert (setting.shape, setting.range) == (shape, told)


def test_what_must_be_given_has_no_default() -> None:
    assert schema(TrustedProgram)["programpath"].default is UNSET
    assert schema(Endpoint)["port"].default == 443


def test_the_nearest_name_may_be_in_a_section() -> None:
    assert near_name("SynchronisationPeriod", KataEdrSettings).endswith("SynchronizationPeriod?")
    assert "EventTransferSettings.MaximumDataTransferTime" in near_name(
        "MaxDataTransferTime", KataEdrSettings
    )
    assert "Endpoints.item_0000.Address" in near_name("Adress", KataEdrSettings)
    assert near_name("xyz", KataEdrSettings).startswith("; there are: UseClientPinnedCertificate, ")
    assert near_name("xyz", PreventionSettings) == ""


def test_names_without_a_function_are_known() -> None:
    assert ignored_names(KataEdrSettings)["mode"] == ("Mode", ("EDRKATA",))
    assert ignored_names(Endpoint) == {}


def test_a_field_that_cannot_be_written_is_a_fault_of_the_program() -> None:
    class Odd(msgspec.Struct):
        when: bytes

    with pytest.raises(TypeError, match="cannot be written"):
        schema(Odd)
    with pytest.raises(TypeError, match="no settings Struct"):
        schema(int)
