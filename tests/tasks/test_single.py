from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.schema import schema
from deodar.tasks.settings import ApplicationSettings, KataEdrSettings, TrustedProgram
from deodar.tasks.single import Text, line_of, printable, read_value, show

KATAEDR = schema(KataEdrSettings)
SWITCH, WHOLE, SECONDS = (
    KATAEDR[name] for name in ("enabletelemetry", "synchronizationperiod", "connectiontimeout")
)
NOTE = schema(TrustedProgram)["programdesc"]
PROXY = schema(ApplicationSettings)["proxyserver"]


@pytest.mark.parametrize(
    ("setting", "value", "read"),
    [
        (SWITCH, True, True),
        (SWITCH, "yes", True),
        (SWITCH, "NO", False),
        (WHOLE, 1, 1),
        (WHOLE, "60", 60),
        (WHOLE, "+5", 5),
        (WHOLE, 5.0, 5),
        (SECONDS, 1, 1.0),
        (SECONDS, "0.5", 0.5),
        (SECONDS, 3600, 3600.0),
        (NOTE, "", ""),
        (NOTE, "Yes", "Yes"),
        (NOTE, "é 😀", "é 😀"),
    ],
)
def test_a_value_is_read_as_its_setting_is(setting, value, read) -> None:
    found = read_value(setting, value, where="", path="X")
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        (SWITCH, "maybe", "X=maybe: Yes or No is expected"),
        (SWITCH, 1, "X=1: Yes or No is expected"),
        (SWITCH, None, "Yes or No is expected"),
        (WHOLE, 0, "X=0: a whole number from 1 to 60 (minutes) is expected"),
        (WHOLE, "61", "from 1 to 60 (minutes)"),
        (WHOLE, "1.5", "a whole number"),
        (WHOLE, 1.5, "a whole number"),
        (WHOLE, True, "X=Yes: a whole number"),
        (WHOLE, "", "a whole number"),
        (WHOLE, "٣", "a whole number"),
        (WHOLE, "9" * 5000, "a whole number"),
        (WHOLE, [5], "a whole number"),
        (SECONDS, 0, "a number above 0, at most 3600 (seconds) is expected"),
        (SECONDS, "-1", "above 0"),
        (SECONDS, "1e3", "above 0"),
        (SECONDS, "inf", "above 0"),
        (SECONDS, math.nan, "above 0"),
        (SECONDS, math.inf, "above 0"),
        (SECONDS, 3600.1, "above 0"),
        (SECONDS, False, "above 0"),
        (NOTE, 5, "a text of at most 1024 characters is expected"),
        (NOTE, "x" * 1025, "of at most 1024 characters"),
        (NOTE, "a\nb", "control characters are not allowed"),
        (NOTE, "a\tb", "control characters are not allowed"),
        (NOTE, "\ud800", "half a character"),
    ],
)
def test_a_wrong_value_is_told_with_the_range(setting, value, told: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        read_value(setting, value, where="", path="X")
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_secret_is_not_told() -> None:
    with pytest.raises(InvalidSetting) as caught:
        read_value(PROXY, "ann:secret@p", where="", path="ProxyServer")
    assert "secret" not in str(caught.value)


def test_a_text_knows_its_line() -> None:
    with pytest.raises(InvalidSetting, match=r"a\.ini, line 7: X=0: a whole"):
        read_value(WHOLE, Text("0", 7), where="a.ini", path="X")
    assert line_of(Text("0", 7)) == 7
    assert line_of(5) == 0


@given(st.integers(1, 3_600_000).map(lambda number: number / 1000))
def test_seconds_are_shown_as_they_are_read(seconds: float) -> None:
    assert read_value(SECONDS, show(seconds), where="", path="X") == seconds


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "Yes"), (False, "No"), (30.0, "30"), (0.25, "0.25"), (7, "7")]
)
def test_values_are_shown_as_kesl_writes_them(value: object, shown: str) -> None:
    assert show(value) == shown


def test_nothing_that_a_terminal_acts_on_is_printed() -> None:
    assert printable("\x1b[31mred") == "\\x1b[31mred"
    assert printable("x" * 200) == "x" * 100 + "…"
