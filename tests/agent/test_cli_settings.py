from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from tests.agent.small_agent import command

from deodar.agent.tasks.store import SettingsStore
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return StateDirectory.create(tmp_path / "agent").path


def test_general_settings_are_shown_and_changed(folder: Path) -> None:
    done = command(folder, "settings", "set", "UseProxy=Yes", "ProxyServer=u:secret@p:3128")
    assert done.output == "changed: UseProxy, ProxyServer\n"
    shown = command(folder, "settings", "get", "ProxyServer").output
    assert "p:3128" in shown
    assert "secret" not in shown
    assert command(folder, "settings", "set", "UseProxy=Yes").output == "nothing changed\n"
    assert "UseProxy" in command(folder, "settings", "set", "--default").output


def test_names_of_kesl_without_a_function_are_told(folder: Path) -> None:
    result = command(folder, "settings", "set", "UseKSN=No")
    assert result.exit_code == 0
    assert "ignored, without a function here: UseKSN" in result.stderr
    shown = json.loads(command(folder, "settings", "set", "UseKSN=No", "--json").stdout)
    assert shown == {"changed": [], "ignored": ["UseKSN"]}


@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_everything_goes_from_one_agent_to_another(
    folder: Path, tmp_path: Path, flag: tuple[str, ...]
) -> None:
    command(folder, "settings", "set", "UseMDR=Yes")
    command(folder, "task", "settings", "set", "24", "SynchronizationPeriod=9")
    file = tmp_path / "all"
    assert command(folder, "settings", "export", "--file", file, *flag).output == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = StateDirectory.create(tmp_path / "other")
    done = command(other.path, "settings", "import", "--file", file, *flag)
    assert "KATAEDR.SynchronizationPeriod" in done.output
    found = SettingsStore(other)
    assert found.application.use_mdr
    assert found.kataedr.synchronization_period == 9
    assert command(other.path, "settings", "export", *flag).output == file.read_text()


def test_import_reads_standard_input_and_takes_all_or_nothing(folder: Path) -> None:
    text = "[KATAEDR]\nSynchronizationPeriod=9\n[Application]\nMaxEventsNumber=0\n"
    result = command(folder, "settings", "import", "--file", "-", answers=text)
    assert getattr(result.exception, "exit_code", 0) == 2
    assert SettingsStore(StateDirectory(folder)).kataedr.synchronization_period == 5
    good = text.replace("Number=0", "Number=7")
    assert command(folder, "settings", "import", "--file", "-", answers=good).exit_code == 0
    assert SettingsStore(StateDirectory(folder)).application.max_events_number == 7


def test_files_that_cannot_be_used_are_told(folder: Path, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * (5 << 20))
    for words, text in (
        (("import", "--file", tmp_path / "missing"), "cannot read"),
        (("import", "--file", big), "larger than"),
        (("export", "--file", tmp_path / "no" / "x"), "cannot write"),
    ):
        result = command(folder, "settings", *words)
        assert text in str(result.exception)
        assert getattr(result.exception, "exit_code", 0) == 65
