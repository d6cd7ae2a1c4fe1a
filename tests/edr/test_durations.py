from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr import durations
from deodar.edr.errors import DurationError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT30S", 30),
        ("PT1H30M", 5400),
        ("PT0S", 0),
        ("PT0.5S", 0.5),
        ("PT0,5S", 0.5),
        ("PT1.5H", 5400),
        ("P1D", 86_400),
        ("P1W", 604_800),
        ("P0.5D", 43_200),
        ("P1DT12H", 129_600),
        ("P1Y2M3DT4H5M6S", 365 * 86_400 + 60 * 86_400 + 3 * 86_400 + 4 * 3600 + 306),
        ("PT300S", 300),
        ("PT007S", 7),
    ],
)
def test_durations_are_seconds(text, seconds):
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("30", 1),
        ("T30S", 1),
        ("pt30s", 1),
        ("P", 2),
        ("PT", 3),
        ("P1DT", 5),
        ("PT30", 5),
        ("PTS", 3),
        ("PT-1S", 3),
        ("PT1S1M", 6),
        ("PT1.5H30M", 7),
        ("P1H", 3),
        ("P1WT1H", 4),
        ("P1W1D", 2),
        ("PT1S ", 5),
        ("PT٣S", 3),
        ("PT1.S", 4),
        ("P1D2D", 5),
    ],
)
def test_what_is_wrong_is_told_with_its_column(text, column):
    with pytest.raises(DurationError) as caught:
        durations.parse(text)
    assert caught.value.column == column
    assert f"column {column}" in str(caught.value)


@given(st.integers(min_value=0, max_value=10**13))
def test_rendered_durations_are_read_back(microseconds):
    seconds = microseconds / 1_000_000
    assert durations.parse(durations.render(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.text(alphabet="PYMWDTHS0123456789.,-+ é", max_size=12))
def test_any_text_is_a_duration_or_a_clear_error(text):
    seconds, column = -1.0, 0
    try:
        seconds = durations.parse(text)
    except DurationError as error:
        column = error.column
    if column:
        assert 1 <= column <= len(text) + 1
    else:
        assert seconds >= 0
        assert text.startswith("P")
        assert text[-1] in "YMWDHS"
