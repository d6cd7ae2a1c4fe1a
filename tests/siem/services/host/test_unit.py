from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.machines.debian import missing
from tests.siem.services.host.test_home import ID

from deodar.kit.errors import SettingsError
from deodar.siem.services.host import unit
from deodar.siem.services.host.home import open_service


@pytest.fixture
def home(tmp_path):
    return open_service(tmp_path / "service", "core:7210", ID, 7221)


def test_the_unit_runs_the_command_without_the_token(home):
    text = unit.unit_text(home, "/opt/deodar/bin/deodar")
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert start == (
        "ExecStart=/opt/deodar/bin/deodar siem collector --core https://core:7210 "
        f"--id {ID} --api-port 7221 --folder {home.folder.path}"
    )
    assert f"ReadWritePaths={home.folder.path}\n" in text
    assert unit.unit_name(ID) == f"deodar-collector-{ID}.service"


def test_systemd_understands_every_line(home, tmp_path):
    if lacking := missing("systemd-analyze"):
        pytest.skip(f"needs {lacking}")
    path = tmp_path / unit.unit_name(ID)
    path.write_text(unit.unit_text(home, sys.executable))
    ran = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=30
    )
    mine = [line for line in ran.stderr.splitlines() if path.name in line]
    assert mine == [], ran.stderr


@pytest.mark.parametrize("hidden", ["/home/anna/venv/bin/deodar", "/root/bin/deodar", "/tmp/d"])
def test_a_program_that_the_unit_could_not_see_is_told(hidden, monkeypatch):
    monkeypatch.setattr(Path, "is_file", lambda _path: True)
    monkeypatch.setattr(sys, "argv", [hidden])
    with pytest.raises(SettingsError, match="/opt/deodar"):
        unit._program()


def test_only_root_installs(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SettingsError, match="sudo"):
        unit.check_host()
