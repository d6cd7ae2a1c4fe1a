from __future__ import annotations

import pytest

from deodar.kit.errors import DeodarError
from deodar.tasks import errors
from deodar.tasks.codes import Code


def test_codes_are_those_that_scripts_for_kesl_test() -> None:
    assert {code.name: int(code) for code in Code} == {
        "DONE": 0,
        "SYNTAX": 1,
        "SETTINGS": 2,
        "NOT_RUNNING": 64,
        "OTHER": 65,
        "POLICY": 68,
        "STATE": 70,
        "INSECURE_PATH": 76,
    }


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.TaskError, 65),
        (errors.UnknownTask, 65),
        (errors.NotStarted, 65),
        (errors.WrongState, 70),
        (errors.PolicyRefused, 68),
        (errors.InvalidSetting, 2),
        (errors.InsecurePath, 76),
    ],
)
def test_an_error_ends_a_command_with_its_code(kind: type[errors.TaskError], code: int) -> None:
    error: DeodarError = kind("it went wrong")
    assert error.exit_code == code
    assert str(error) == "it went wrong"


def test_an_error_may_carry_another_code() -> None:
    assert errors.TaskError("no agent", Code.NOT_RUNNING).exit_code == 64


def test_a_wrong_setting_is_told_with_its_place() -> None:
    error = errors.InvalidSetting("why", where="a.ini", line=3, setting="Port", value="0")
    assert str(error) == "a.ini, line 3: Port=0: why"
    assert str(error.under("KATAEDR")) == "a.ini, line 3: KATAEDR.Port=0: why"
    assert str(errors.InvalidSetting("why", line=3)) == "line 3: why"
    assert str(errors.InvalidSetting("why", setting="Port")) == "Port: why"
