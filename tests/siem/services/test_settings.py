from __future__ import annotations

import pytest

from deodar.kit.errors import SettingsError
from deodar.kit.settings import dump, parse
from deodar.siem.settings import SiemSettings


def test_they_are_part_of_the_cores_settings_and_have_ranges():
    text = dump(SiemSettings(tenant_id="t"))
    assert "[services]" in text
    assert "[alerts]" in text
    changed = text.replace("report_seconds = 5.0", "report_seconds = 0")
    with pytest.raises(SettingsError, match="report_seconds"):
        parse(changed, SiemSettings, where="siem.toml")
    with pytest.raises(SettingsError, match=r"did you mean `silent_seconds`"):
        parse(text.replace("silent_seconds", "silent_secs"), SiemSettings, where="siem.toml")


def test_a_condition_shows_within_three_minutes_whatever_the_window():
    with pytest.raises(SettingsError, match="window_seconds"):
        parse(
            dump(SiemSettings(tenant_id="t")).replace(
                "window_seconds = 60.0", "window_seconds = 170.0"
            ),
            SiemSettings,
            where="siem.toml",
        )
