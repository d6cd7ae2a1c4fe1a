from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.settings import AgentSettings
from deodar.kit import settings as toml
from deodar.kit.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

LEAST = 'agent_id = "a"\n'


def test_enrolment_alone_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(LEAST)
    settings = toml.load(file, AgentSettings)
    assert settings.spool.maximum_days == 21
    assert settings.sensor.order == ["bpf", "audit", "proc"]
    assert settings.transfer.maximum_events == 10_000


def test_written_settings_are_read_back(settings: AgentSettings) -> None:
    assert toml.parse(toml.dump(settings), AgentSettings, where="test") == settings


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ("[transfer]\nmaximum_events = 10001", "maximum_events"),
        ("[transfer]\nstore_delay = 0", "store_delay"),
        ("[spool]\nmaximum_bytes = 10", "maximum_bytes"),
        ("[hashes]\nenable = true", "enabled"),
        ("[sensor]\norder = 'bpf'", "order"),
        ("[orders]\nallowed = ['format_disk']", "allowed"),
    ],
)
def test_wrong_setting_is_named(lines: str, key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        toml.parse(LEAST + lines, AgentSettings, where="agent.toml")
