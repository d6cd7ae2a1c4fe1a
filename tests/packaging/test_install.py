"""The package on a Debian 12 that was really booted, against a real EDR server on the host."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from tests.machines.debian import missing
from tests.packaging.conftest import STATE

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]

UNIT = "deodar-agent.service"
PROGRAM = "program-of-another"
NOISE = (
    *("var/lib/dpkg/", "var/log/", "var/cache/", "run/", "tmp/", "root/"),
    *("etc/group-", "etc/gshadow-", "etc/.pwd.lock", "var/lib/systemd/", "etc/machine-id"),
)
"""What dpkg, the account tools and systemd write for themselves."""


def _state(machine) -> str:
    return machine.run("systemctl", "is-active", UNIT, check=False)


def _pid(machine) -> int:
    return int(machine.run("systemctl", "show", "-P", "MainPID", UNIT))


def _install(machine, package) -> None:
    shutil.copy(package, machine.folder / "root" / package.name)
    machine.run("dpkg", "-i", f"/root/{package.name}", limit=120)


def _enroll(machine, server) -> None:
    """Enrol it, with events that are sent soon, so that nobody waits for them here."""
    machine.run("deodar", "agent", "enroll", server.token(), "--dir", STATE)
    soon = ("KATAEDR", "MaximumDataTransferTime=1", "--dir", STATE)
    machine.run("deodar", "agent", "task", "settings", "set", *soon)
    machine.run("systemctl", "start", UNIT)


def _mark(machine) -> str:
    marker = uuid.uuid4().hex
    machine.run("/bin/true", marker)
    return marker


def _lasting(machine) -> dict[str, tuple[int, int, int]]:
    return {name: facts for name, facts in machine.files().items() if not name.startswith(NOISE)}


def _held_programs(pid: int) -> set[int]:
    """Return the ids of the BPF programs that a process of the host holds open."""
    facts = "".join(path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir())
    return set(map(int, re.findall(r"^prog_id:\s+(\d+)", facts, re.MULTILINE)))


def _in_kernel(programs: set[int]) -> set[int]:
    """Return those that are still loaded; none without bpftool, which alone can list them."""
    if missing("bpftool"):
        return set()
    command = ["bpftool", "--json", "prog", "show"]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return programs & {row["id"] for row in shown}


@pytest.fixture
def watched(machine, package, server):
    """Return a machine with an agent that is enrolled and runs."""
    _install(machine, package)
    _enroll(machine, server)
    return machine


def test_from_installation_to_purge_nothing_is_left(machine, package, server):
    before = _lasting(machine)
    groups = (machine.folder / "etc" / "group").read_text()

    _install(machine, package)
    assert _state(machine) == "inactive"  # not enrolled: neither started nor failed
    assert machine.run("systemctl", "--failed", "--no-legend") == ""
    assert machine.run("systemctl", "is-enabled", UNIT) == "enabled"
    assert machine.run("stat", "-c", "%a %U:%G", STATE) == "710 root:deodar-agent"

    _enroll(machine, server)
    event = server.find(_mark(machine))
    assert event["EventType"] == "process"
    programs = _held_programs(machine.host_pid(_pid(machine)))
    assert programs

    machine.run("dpkg", "-r", "deodar-agent")
    assert _state(machine) == "inactive"
    machine.wait_for(lambda: not _in_kernel(programs))
    left = set(_lasting(machine)) - set(before)
    assert not [name for name in left if not f"/{name}".startswith(STATE)]
    assert f"{STATE[1:]}/agent.toml" in left

    machine.run("dpkg", "-P", "deodar-agent")
    assert _lasting(machine) == before
    assert (machine.folder / "etc" / "group").read_text() == groups
    assert machine.run("systemctl", "--failed", "--no-legend") == ""


def test_an_upgrade_keeps_spool_identity_and_settings(machine, package, newer, server):
    _install(machine, package)
    _enroll(machine, server)
    server.find(_mark(machine))
    settings = machine.folder / STATE[1:] / "agent.toml"
    identity = settings.read_text("utf-8")

    server.stop()
    waiting = [_mark(machine) for _ in range(20)]
    first = _pid(machine)
    _install(machine, newer)
    assert _pid(machine) != first  # started again, with the server away
    assert _state(machine) == "active"
    assert settings.read_text("utf-8") == identity
    waiting.append(_mark(machine))

    server.start()
    for marker in waiting:
        server.find(marker, limit=60)
    assert [server.count(marker) for marker in waiting] == [1] * len(waiting)


def test_a_choice_of_the_administrator_outlives_an_upgrade(machine, package, newer):
    _install(machine, package)
    machine.run("systemctl", "disable", UNIT)
    _install(machine, newer)
    assert machine.run("systemctl", "is-enabled", UNIT, check=False) == "disabled"


def test_programs_in_the_folders_of_others_are_hashed(watched, server):
    digest = hashlib.sha256((watched.folder / "usr/bin/sleep").read_bytes()).hexdigest()
    owner = ("-m", "700", "-o", "65534", "-g", "65534")
    for folder in ("/tmp/own", "/home/someone"):
        watched.run("install", "-d", *owner, folder)
        watched.run("install", *owner, "/usr/bin/sleep", f"{folder}/{PROGRAM}")
        words = ("setpriv", "--reuid", "65534", "--clear-groups", f"{folder}/{PROGRAM}", "0.5")
        watched.run(*words)
        event = server.find(f"{folder}/{PROGRAM}", EventType="process", FileName=PROGRAM)
        assert event["Sha256"].lower() == digest


def test_hash_process_has_no_rights_and_the_lowest_priority(watched):
    watched.run("/usr/bin/sleep", "0.1")
    children = ("sh", "-c", f"cat /proc/{_pid(watched)}/task/*/children")
    watched.wait_for(lambda: watched.run(*children).strip())
    pid = watched.run(*children).strip()
    lines = watched.run("cat", f"/proc/{pid}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["Seccomp"] == "2"
    assert watched.run("cat", f"/proc/{pid}/stat").rpartition(")")[2].split()[16] == "19"


def test_members_of_the_group_may_use_the_commands(watched):
    settings = watched.folder / STATE[1:] / "agent.toml"
    text = settings.read_text("utf-8").replace('group = ""', 'group = "deodar-agent"')
    settings.write_text(text, "utf-8")
    watched.run("systemctl", "restart", UNIT)
    group = watched.run("stat", "-c", "%g", STATE)
    somebody = ("setpriv", "--reuid", "65534", "--regid", "65534")
    command = ("deodar", "agent", "task", "list", "--dir", STATE)
    watched.run(*somebody, "--groups", group, *command)
    with pytest.raises(AssertionError):
        watched.run(*somebody, "--clear-groups", *command)


def test_an_agent_that_hangs_is_started_again(watched):
    dropin = watched.folder / "etc" / "systemd" / "system" / f"{UNIT}.d"
    dropin.mkdir()
    (dropin / "quick.conf").write_text("[Service]\nWatchdogSec=5\n")
    watched.run("systemctl", "daemon-reload")
    watched.run("systemctl", "restart", UNIT)
    hung = _pid(watched)
    watched.run("kill", "-STOP", hung)
    watched.wait_for(lambda: _pid(watched) not in (0, hung) and _state(watched) == "active", 60)
    assert "watchdog" in watched.run("journalctl", "-u", UNIT, "--no-pager").lower()


def test_the_command_knows_the_agent_alone(machine, package):
    _install(machine, package)
    assert "edr" not in machine.run("deodar", "--help").split()
    assert "No such command" in machine.run("deodar", "edr", "run", check=False)
    script = (
        "import importlib, pkgutil, deodar.agent\n"
        "for m in pkgutil.walk_packages(deodar.agent.__path__, 'deodar.agent.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
    )
    python = "/usr/lib/deodar-agent/bin/python3"
    assert machine.run(python, "-IB", "-c", script) == ""


def test_the_sandbox_is_as_tight_as_we_say(machine, package):
    _install(machine, package)
    shown = machine.run("systemd-analyze", "security", "--no-pager", UNIT)
    exposure = float(shown.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert exposure <= 3.2
