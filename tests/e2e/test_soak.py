"""The short form of ``make soak``: one agent through every kind of trouble, all accounted for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from soak.host import FAKETIME


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_minute_of_trouble_is_explained_to_the_last_program(tmp_path):
    if not Path(FAKETIME).exists():
        pytest.skip("libfaketime is not installed (Debian package libfaketime)")
    command = [sys.executable, "-m", "soak", "--minutes", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all of it explained" in done.stdout
    assert (tmp_path / "soak.svg").stat().st_size > 1000
