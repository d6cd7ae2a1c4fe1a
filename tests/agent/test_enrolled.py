from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enrolled import SETTINGS, load
from deodar.agent.errors import NotEnrolledError
from deodar.kit.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.kit.directory import StateDirectory


@pytest.fixture
def directory(tmp_path: Path, server: Any) -> StateDirectory:
    found: StateDirectory = server.enrol(tmp_path / "agent")
    return found


def test_folder_without_an_agent_says_how_to_enrol(directory: StateDirectory) -> None:
    (directory.path / SETTINGS).unlink()
    with pytest.raises(NotEnrolledError, match=f"{SETTINGS} is missing.*deodar agent enroll --dir"):
        load(directory)


def test_agent_without_certificates_is_an_agent(directory: StateDirectory) -> None:
    """It has to watch on, and to say in its status what is missing."""
    for name in ("client.crt", "client.key", "server.crt"):
        (directory.path / name).unlink()
    assert load(directory).agent_id


def test_wrong_setting_is_named(directory: StateDirectory) -> None:
    directory.write_secret(SETTINGS, b'agent_id = "a"\nnonsense = 1\n')
    with pytest.raises(SettingsError, match="nonsense"):
        load(directory)
