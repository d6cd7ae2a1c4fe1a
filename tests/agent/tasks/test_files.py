from __future__ import annotations

import os
from pathlib import Path

import pytest

from deodar.agent.tasks.files import SettingsFiles, insecurity
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.tasks.errors import InsecurePath
from deodar.tasks.policy import Policy

KATAEDR = "settings/KATAEDR.ini"


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


def _modes(directory: StateDirectory) -> dict[str, int]:
    paths = [path for path in directory.path.rglob("*") if path.name != "lock"]
    return {str(p.relative_to(directory.path)): p.stat().st_mode & 0o777 for p in paths}


def test_nothing_is_there_at_first(directory: StateDirectory) -> None:
    files = SettingsFiles(directory)
    assert not any(files.load().values())
    assert files.load_policy() is None
    assert files.problems == []


def test_settings_and_policy_are_read_back(directory: StateDirectory) -> None:
    policy = Policy(version=3, settings={"KATAEDR": {"RequestTimeout": 2.5}})
    files = SettingsFiles(directory)
    files.save({"KATAEDR": {"EnableTelemetry": False}, "Application": {"UseMDR": True}})
    files.save_policy(policy)
    again = SettingsFiles(directory)
    assert again.load()["KATAEDR"] == {"EnableTelemetry": False}
    assert again.load()["Application"] == {"UseMDR": True}
    assert again.load_policy() == policy
    assert (directory.path / KATAEDR).read_text() == "EnableTelemetry=No\n"


def test_the_files_are_for_the_agent_alone(directory: StateDirectory) -> None:
    files = SettingsFiles(directory)
    files.save({"KATAEDR": {"EnableTelemetry": False}})
    files.save_policy(Policy(version=1))
    assert _modes(directory) == {"settings": 0o700, KATAEDR: 0o600, "policy.json": 0o600}


def test_what_is_not_set_has_no_file(directory: StateDirectory) -> None:
    files = SettingsFiles(directory)
    files.save({"KATAEDR": {"EnableTelemetry": False}})
    files.save_policy(Policy(version=1))
    files.save({"KATAEDR": {}, "Application": {}})
    files.save_policy(None)
    assert _modes(directory) == {"settings": 0o700}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            b"SynchronizationPeriod=0",
            "line 1: SynchronizationPeriod=0: a whole number from 1 to 60",
        ),
        (b"\xff", "line 1: it is not UTF-8 text"),
        (b"#" * (2 << 20), "it is larger than 1 MB"),
    ],
)
def test_a_damaged_file_is_told_and_set_aside(
    directory: StateDirectory, data: bytes, told: str
) -> None:
    (directory.path / "settings").mkdir(mode=0o700)
    directory.write_secret(KATAEDR, data)
    files = SettingsFiles(directory)
    assert files.load()["KATAEDR"] == {}
    assert files.is_damaged("KATAEDR")
    [problem] = files.problems
    assert str(directory.path / KATAEDR) in problem
    assert told in problem
    assert problem.endswith("KATAEDR has its default settings")
    files.save({"KATAEDR": {"EnableTelemetry": False}})
    assert (directory.path / f"{KATAEDR}.damaged").read_bytes() == data
    assert not files.is_damaged("KATAEDR")


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"version": 0}', b'{"version":1,"settings":{"X":{}}}', b"[" * 100_000]
)
def test_a_damaged_policy_is_told_and_set_aside(directory: StateDirectory, data: bytes) -> None:
    directory.write_secret("policy.json", data)
    files = SettingsFiles(directory)
    assert files.load_policy() is None
    assert files.is_damaged()
    assert "policy.json cannot be used: " in files.problems[0]
    files.save_policy(None)
    assert (directory.path / "policy.json.damaged").read_bytes() == data
    assert not directory.has("policy.json")


def test_a_file_that_is_a_folder_is_told(directory: StateDirectory) -> None:
    (directory.path / KATAEDR).mkdir(parents=True)
    files = SettingsFiles(directory)
    assert files.load()["KATAEDR"] == {}
    assert "cannot read" in files.problems[0]


@pytest.mark.parametrize("path", [".", "settings", KATAEDR, "policy.json"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_what_others_may_write_is_told_and_not_changed(
    directory: StateDirectory, path: str, mode: int
) -> None:
    files = SettingsFiles(directory)
    files.save({"KATAEDR": {"EnableTelemetry": False}})
    files.save_policy(Policy(version=1))
    target = directory.path / path
    target.chmod(target.stat().st_mode | mode)

    again = SettingsFiles(directory)
    assert again.load()["KATAEDR"] == {"EnableTelemetry": False}
    assert again.problems == [f"{insecurity(target)}; it is used as it is"]
    assert f"{target} may be written by others than its owner" in again.problems[0]
    for change in (lambda: again.save({"KATAEDR": {}}), lambda: again.save_policy(None)):
        with pytest.raises(InsecurePath, match="nothing is changed until that is mended") as caught:
            change()
        assert caught.value.exit_code == 76
    target.chmod(target.stat().st_mode & ~mode)
    again.save({"KATAEDR": {}})


@pytest.mark.root
def test_what_belongs_to_another_account_is_told(directory: StateDirectory) -> None:
    os.chown(directory.path, 12345, -1)
    assert "belongs to another account (user id 12345)" in insecurity(directory.path)
    with pytest.raises(InsecurePath):
        SettingsFiles(directory).save({"KATAEDR": {"EnableTelemetry": False}})


def test_all_files_are_replaced_or_none(directory: StateDirectory) -> None:
    files = SettingsFiles(directory)
    files.save({"KATAEDR": {"EnableTelemetry": False}})
    (directory.path / "settings/Application.ini").mkdir()  # cannot be replaced by a file
    with pytest.raises(StateError, match="the settings were not changed"):
        files.save(
            {
                "KATAEDR": {"EnableTelemetry": True},
                "Behavior_Detection": {"UseTrustedPrograms": True},
                "Application": {"UseMDR": True},
            }
        )
    assert (directory.path / KATAEDR).read_text() == "EnableTelemetry=No\n"
    assert not directory.has("settings/Behavior_Detection.ini")
    assert not list(directory.path.rglob("*.new"))
