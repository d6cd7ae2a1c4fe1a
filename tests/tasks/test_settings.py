from __future__ import annotations

import pytest

from deodar.tasks.check import values_of
from deodar.tasks.declarations import KINDS
from deodar.tasks.settings import (
    FLAT,
    ApplicationSettings,
    Endpoint,
    KataEdrSettings,
    TrustedProgram,
)


def test_kataedr_has_the_names_and_defaults_of_kesl() -> None:
    assert values_of(KataEdrSettings()) == {
        "UseClientPinnedCertificate": False,
        "SynchronizationPeriod": 5,
        "ConnectionTimeout": 10,
        "RequestTimeout": 10,
        "EnableTelemetry": True,
        "Endpoints": [{"Address": "127.0.0.1", "Port": 443}],
        "EventTransferSettings": {
            "MaximumDataTransferTime": 30,
            "UseRequestCountLimits": True,
            "MaximumNumberOfEventsInHour": 3000,
            "EventLimitExceededPercentage": 15,
        },
    }


def test_a_trusted_program_has_the_names_and_defaults_of_kesl() -> None:
    assert values_of(TrustedProgram(program_path="/bin/x")) == {
        "ProgramPath": "/bin/x",
        "ApplyToDescendants": False,
        "ProgramDesc": "",
        "UseTrustedProgram": True,
    }


def test_general_settings_have_their_defaults() -> None:
    assert values_of(ApplicationSettings()) == {
        "UseProxy": False,
        "ProxyServer": "",
        "UseMDR": False,
        "MaxEventsNumber": 500_000,
        "UseSyslog": False,
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_settings_are_values_that_nobody_changes(kind) -> None:
    settings = kind()
    assert settings == kind()
    with pytest.raises(AttributeError):
        settings.anything = 1


def test_the_flat_form_names_settings_that_there_are() -> None:
    fields = Endpoint.__struct_encode_fields__
    assert [place[-1] for place in FLAT[KataEdrSettings].values()] == list(fields)
