from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.kit.errors import SettingsError
from deodar.siem.connectors.start import Start

NOW = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("with history", 0),
        ("  With  History ", 0),
        ("from now on", NOW),
        ("2026-03-01T12:00:00Z", 1_772_366_400_000_000),
        ("2026-03-01 15:00:00.5+03:00", 1_772_366_400_500_000),
    ],
)
def test_a_choice_says_from_which_time_on_events_are_wanted(text, since):
    assert Start.read(text).since(NOW) == since


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-01T12:00:00", "1969-01-01T00:00:00Z"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(SettingsError):
        Start.read(text)


@given(st.text())
def test_any_text_is_a_choice_or_refused(text):
    try:
        assert Start.read(text).since(NOW) >= 0
    except SettingsError:
        return
