from __future__ import annotations

import pytest
from tests.machines.debian import missing
from tests.machines.emulator import Emulator


@pytest.fixture
def silent(tmp_path):
    """Return a running machine that has nothing to boot, and so tells nothing."""
    if lacking := missing("qemu-system-x86_64"):
        pytest.skip(f"needs {lacking}")
    machine = Emulator(tmp_path / "log", "-m", "64", "-net", "none")
    yield machine
    machine.stop()
