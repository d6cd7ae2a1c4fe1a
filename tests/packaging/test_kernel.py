"""The service on Debian's own kernel: ceilings in force, each sensor under the unit's sandbox."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit

import pytest
from tests.machines.debian import missing
from tests.packaging import virtual
from tests.packaging.test_install import UNIT, _enroll, _install

from deodar.demo.stack import attempts

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def emulator(own_machine, package, server, tmp_path):
    """Return a virtual machine that boots with an enrolled agent and no network."""
    if lacking := missing("qemu-system-x86_64", "cpio", "apt-get"):
        pytest.skip(f"needs {lacking}")
    try:
        virtual.STOCK.fetched()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Debian's kernel cannot be had here: {error}")
    _install(own_machine, package)
    _enroll(own_machine, server)
    own_machine.run("systemctl", "stop", UNIT)
    own_machine.stop()
    virtual.prepare(own_machine, tmp_path / "image", urlsplit(server.url).port)
    made = virtual.boot(tmp_path / "image", tmp_path / "console.log")
    yield made
    made.stop()


@pytest.mark.kind
def test_the_unit_on_a_kernel_of_its_own(emulator, server, kind):
    boot = emulator.seen("boot", 180)
    assert boot["interfaces"] == ["lo"]  # it is active, and there is no network yet

    ceilings = emulator.seen("ceilings", 30)
    assert ceilings["memory.high"] == str(192 << 20)
    assert ceilings["memory.max"] == str(256 << 20)
    assert ceilings["memory.swap.max"] == str(64 << 20)
    assert ceilings["cpu.max"] == "75000 100000"
    assert ceilings["cpu.weight"] == "50"
    assert ceilings["io.weight"] == "default 50"
    assert ceilings["pids.max"] == "64"

    journal = emulator.seen("journal", 120)
    assert (journal["name"], journal["socket"]) == ("audit", "active")
    (advice,) = journal["advice"]
    for verb in ("stop", "disable", "mask"):
        assert f"systemctl {verb} systemd-journald-audit.socket" in advice

    audit = emulator.seen("audit", 120)
    assert audit["during"]["rules"] >= 2
    assert audit["restarted"]
    assert audit["cleaned"]
    assert audit["waited"]  # the back-off of a first failure
    assert audit["after"] == audit["before"]
    assert audit["after"]["rules"] == 0

    processor = emulator.seen("processor", 120)
    assert processor["together"]  # the agent is in the group that is measured
    assert 0.6 < processor["burning"] < 0.8
    assert 0 < processor["flooded"] < 0.8

    memory = emulator.seen("memory", 240)
    assert 64 < memory["reached"] < 256  # MiB of the one that grew beside the agent
    assert memory["used"] < 256 << 20
    assert memory["ended"] == -9
    assert memory["restarted"]

    emulator.seen("waiting", 30)
    tiers = {"before-network": "bpf", "tier-audit": "audit", "tier-proc": "proc"}
    tiers |= {"tier-bpf": "bpf", "after-memory": "bpf"}
    found = {marker: server.find(marker)["SensorTier"] for marker in tiers}
    assert found == tiers

    modules = {"virtio_net": "virtio_net.ko", "dummy": "copied.ko"}
    for name, file in modules.items():
        driver = server.find("", EventType="driver", DriverName=name)
        assert (driver["DriverOperation"], driver["FileName"]) == ("load", file)
        assert driver["FileFullName"].startswith(("/usr/lib/modules/", "/lib/modules/", "/run/"))
        assert driver["LoaderFileFullName"].endswith("/kmod")
    assert server.find("no-module")["SensorTier"] == "bpf"
    drivers = [event for event in server.events if event["EventType"] == "driver"]
    assert not [one for one in drivers if "no-module" in one["StartupParameters"]]
    rows = _drivers_in_the_siem(server.stack, server.url)
    assert [(row["OldFileName"], row["DeviceAction"], row["FileName"]) for row in rows] == [
        (name, "load", file) for name, file in modules.items()
    ]
    kind(17, "modprobe, and insmod of a copy, on Debian's 6.1 in an emulated machine")

    emulator.go_on()
    locked = emulator.seen("locked", 120)
    assert "locked until the next boot (auditctl -e 2); remove that line from" in locked["status"]
    assert locked["rules"] == 0
    assert emulator.seen("beside", 90)["name"] == "bpf"

    removal = emulator.seen("removal", 90)
    enabled, *others = removal["settings"]
    assert (enabled, others) == (2, audit["before"]["settings"][1:])  # locked is locked
    assert removal["rules"] == 0
    assert [path for path in removal["left"] if "systemd/units" not in path] == []


def _drivers_in_the_siem(stack, url):
    """Let a collector fetch all that the EDR server has; return the rows of the two modules."""
    stack.start_core(url)
    stack.start_collector()
    stack.accept_collector()
    sql = (
        "SELECT OldFileName, DeviceAction, FileName FROM events WHERE DeviceEventCategory = "
        "'driver' AND OldFileName IN ('virtio_net', 'dummy') ORDER BY OldFileName DESC LIMIT 10"
    )
    rows = []
    for _ in attempts(60, pause=0.5):
        rows = stack.search(sql)
        if len(rows) >= 2:
            break
    return rows
