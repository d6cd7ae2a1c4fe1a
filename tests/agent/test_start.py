from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deodar.agent.start import _parse, main, words


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sensor": "proc", "debug": True},
        {"sensor": "replay", "replay": Path("f x"), "rate": 2.5, "exit_at_end": True},
    ],
)
def test_command_carries_every_option(options: dict[str, object]) -> None:
    command = words(Path("/state"), **options)  # type: ignore[arg-type]
    assert command[:4] == [sys.executable, "-P", "-m", "deodar.agent"]
    defaults = {
        "sensor": "auto",
        "replay": None,
        "rate": 0.0,
        "exit_at_end": False,
        "debug": False,
    }
    assert vars(_parse(command[4:])) == {"dir": Path("/state"), **defaults, **options}


def test_missing_folder_is_told_with_its_exit_code(tmp_path: Path) -> None:
    command = words(tmp_path / "missing")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "deodar agent enroll" in done.stderr


def test_wrong_option_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--dir", "x", "--nonsense"])
    assert ended.value.code == 2
    assert "--nonsense" in capsys.readouterr().err


def test_libraries_of_the_command_line_stay_out() -> None:
    code = (
        "import sys; from deodar.agent.start import main;"
        "print(main(['--dir', '/nonexistent']), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()[1:]}
    assert done.stdout.split()[0] == "3"
    assert "ssl" in loaded
    assert not any(name.startswith(("rich.", "click.", "typer")) for name in done.stdout.split())
