"""The choice of a sensor: the first that works, with the reasons of those that do not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from tests.agent.sensors.conftest import TOO_OLD

from deodar.agent.sensors import choose as module
from deodar.agent.sensors.base import SensorCounters
from deodar.agent.sensors.choose import ORDER, REGISTRY, choose
from deodar.agent.sensors.errors import SensorUnavailable

CHOOSE = """
import json
from deodar.agent.sensors.choose import choose
from deodar.agent.sensors.errors import SensorUnavailable
try:
    chosen = choose()
except SensorUnavailable as error:
    print(json.dumps({"error": str(error)}))
else:
    chosen.sensor.close()
    print(json.dumps({"name": chosen.sensor.name, "refused": dict(chosen.refused)}))
"""


class Fine:
    name, tier = "fine", "test"
    refused = (("fine/half", "it is broken"),)
    opened = 0

    def open(self):
        self.opened += 1

    def read(self, timeout):
        return []

    def counters(self):
        return SensorCounters(0, 0)

    def close(self):
        pass


class Refusing(Fine):
    def open(self):
        raise SensorUnavailable("not on this host")


def test_the_best_sensor_comes_first():
    assert ORDER == ("bpf", "audit", "proc")
    assert set(REGISTRY) == set(ORDER)


def test_reasons_of_better_sensors_are_kept(monkeypatch):
    monkeypatch.setattr(module, "REGISTRY", {"a": Refusing, "b": Fine})
    chosen = choose(["a", "b"])
    assert isinstance(chosen.sensor, Fine)
    assert chosen.sensor.opened == 1
    assert chosen.refused == [("a", "not on this host"), ("fine/half", "it is broken")]


def test_no_sensor_at_all_names_every_reason(monkeypatch):
    monkeypatch.setattr(module, "REGISTRY", {"a": Refusing, "b": Refusing})
    with pytest.raises(SensorUnavailable, match="a: not on this host; b: not on this host"):
        choose(["a", "b"])


def test_unknown_name_says_which_there_are():
    with pytest.raises(SensorUnavailable, match=r"'kprobe'.*bpf, audit, proc"):
        choose(["kprobe"])


def without(*capabilities):
    """Choose in a process that has lost some capabilities for good."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is missing")
    dropped = ",".join(f"-{name}" for name in capabilities)
    command = ["setpriv", f"--bounding-set={dropped}", sys.executable, "-c", CHOOSE]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)


@pytest.mark.root
def test_without_bpf_rights_audit_is_taken():
    result = without("bpf", "perfmon", "sys_admin")
    assert result["name"] == "audit"
    assert "root" in result["refused"]["bpf"]


@pytest.mark.root
def test_without_audit_rights_the_proc_connector_is_taken():
    result = without("bpf", "perfmon", "sys_admin", "audit_control", "audit_read")
    assert result["name"] == "proc"
    assert list(result["refused"]) == ["bpf", "audit"]
    assert "CAP_AUDIT" in result["refused"]["audit"]


@pytest.mark.root
def test_without_any_right_every_reason_is_told():
    error = without("all")["error"]
    assert "CAP_BPF" in error
    assert "CAP_AUDIT" in error
    assert "CAP_NET_ADMIN" in error


@pytest.mark.root
@pytest.mark.skipif(not TOO_OLD, reason="a kernel that takes the BPF programs: 5.17 or later")
def test_kernel_too_old_for_bpf_is_told_and_audit_is_taken():
    chosen = choose()
    chosen.sensor.close()
    assert chosen.sensor.name == "audit"
    ((name, reason),) = chosen.refused
    assert name == "bpf"
    assert "Linux 5.17 or later is needed" in reason
    assert os.uname().release in reason
