from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.agent.sensors.conftest import needs_programs

from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.loader import load, read_blob
from deodar.agent.sensors.parts.pam import CALLED, COME_BACK, PAM, Libraries
from deodar.agent.sensors.probe_links import DEVICE, has_multi
from deodar.agent.sensors.probes import Probes, check_kernel

LINKS = 2 if has_multi() else 7
"""Of all functions at once, or one for each place."""
pytestmark = [pytest.mark.root, needs_programs]


@pytest.fixture
def probes():
    loaded = load(PAM.adapt(read_blob(PAM.name)), {"ring": PAM.ring_bytes})
    made = Probes(loaded.programs, CALLED, COME_BACK)
    yield made
    made.close()
    loaded.close()


@pytest.fixture
def library(tmp_path):
    """A copy of this host's libpam, and its key."""
    found = Libraries(tmp_path).find()
    if not found:
        pytest.skip("this host has no libpam")
    copy = tmp_path / "libpam.so.0"
    shutil.copy(next(iter(found.values())), copy)
    return copy, (copy.stat().st_dev, copy.stat().st_ino)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_probed_until_it_is_wanted_no_more(probes, library):
    path, key = library
    before = descriptors()
    probes.keep({key: path})
    assert (probes.files, probes.problems) == ({key}, {})
    assert descriptors() == before + LINKS
    probes.keep({})
    assert probes.files == set()
    assert descriptors() == before


def test_files_are_looked_for_beside_and_not_after_the_end(probes, library, until):
    path, key = library
    probes.keep_aside(lambda: {key: path})
    until(lambda: probes.files == {key})
    probes.close()
    probes.keep({key: path})
    assert probes.files == set()


def test_a_file_that_cannot_be_probed_is_noted_and_does_not_hinder_others(probes, library):
    path, key = library
    odd = path.with_name("odd.so")
    odd.write_text("#!/bin/sh\n")
    before = descriptors()
    probes.keep({(0, 1): odd, (0, 2): path.with_name("none.so"), key: path})
    assert probes.files == {key}
    assert "no 64-bit ELF file" in probes.problems[(0, 1)]
    assert "No such file" in probes.problems[(0, 2)]
    assert descriptors() == before + LINKS


def test_a_library_without_the_functions_is_noted(probes):
    libc = Path("/lib/x86_64-linux-gnu/libc.so.6")
    probes.keep({(0, 1): libc})
    assert "has no function pam_acct_mgmt" in probes.problems[(0, 1)]


def test_a_kernel_without_probes_is_told(monkeypatch, tmp_path):
    check_kernel()
    monkeypatch.setattr("deodar.agent.sensors.probes.DEVICE", tmp_path)
    with pytest.raises(SensorUnavailable, match="CONFIG_UPROBE_EVENTS"):
        check_kernel()
    assert (DEVICE / "type").exists()
