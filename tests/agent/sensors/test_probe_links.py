"""That linked programs run is tested with the whole part, in parts/test_pam.py."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from tests.agent.sensors.conftest import needs_programs
from tests.agent.sensors.parts.test_pam import session_of_su

from deodar.agent.sensors import probe_links
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import BlobError
from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.pam import PAM
from deodar.agent.sensors.probe_links import for_this_kernel, has_multi

RELEASES = [("6.18.44-x", True), ("6.6.0", True), ("6.1.0-37-amd64", False), ("5.17", False)]


@pytest.mark.parametrize(("release", "multi"), RELEASES)
def test_which_kernels_take_many_places_at_once(monkeypatch, release, multi):
    monkeypatch.setattr("platform.release", lambda: release)
    assert has_multi() is multi
    blob = read_blob(PAM.name)
    adapted = for_this_kernel(blob)
    differing = [
        at for at, (a, b) in enumerate(zip(blob.data, adapted.data, strict=True)) if a != b
    ]
    assert len(differing) == (len(blob.manifest["context"]["programs"]) if multi else 0)
    assert all(struct.unpack_from("<I", adapted.data, at)[0] == 48 for at in differing)


def test_a_blob_without_the_programs_is_refused(monkeypatch):
    monkeypatch.setattr("platform.release", lambda: "6.18")
    blob = read_blob(PAM.name)
    other = dataclasses.replace(blob, data=bytes(len(blob.data)))
    with pytest.raises(BlobError, match="holds no program deodar_enter"):
        for_this_kernel(other)


@pytest.mark.root
@needs_programs
@pytest.mark.skipif(not has_multi(), reason="this kernel has the older way alone")
def test_the_older_way_works_on_a_newer_kernel_too(monkeypatch, collect):
    monkeypatch.setattr(probe_links, "has_multi", lambda: False)
    sensor = BpfSensor(own_pid=0, parts=(CORE, PAM))
    sensor.open()
    try:
        assert sensor.refused == []
        functions = session_of_su(sensor, collect)
    finally:
        sensor.close()
    assert functions == [1, 2, 3, 4]
