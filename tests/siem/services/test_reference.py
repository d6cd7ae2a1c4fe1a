from __future__ import annotations

from deodar.siem.services.conditions import CONDITIONS
from deodar.siem.services.reference import page


def test_the_page_has_every_condition_and_setting_with_its_default():
    text = page()
    for condition in CONDITIONS:
        assert f"| {condition.name} |" in text
    assert "| `disk_free_percent` | 10 |" in text
    assert "| `token_hours` | 24.0 |" in text
