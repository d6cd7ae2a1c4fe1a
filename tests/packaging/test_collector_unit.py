"""The core's install command on a bare Debian 12: pairing, unit, restart by systemd, uninstall."""

from __future__ import annotations

import json
import shlex
import socket
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.machines import debian
from tests.packaging.machine import Machine
from tests.siem.conftest import free_port
from tests.siem.services.world import World, make_world

from deodar.demo.stack import attempts

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES, SOURCE = "/opt/deodar-packages", "/opt/deodar-source"
PROGRAM = """\
#!/usr/bin/python3
import sys
sys.path[:0] = ["/opt/deodar-source", "/opt/deodar-packages"]
from deodar.cli import main
main()
"""


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(debian_root, tmp_path) -> Iterator[Machine]:
    """A booted Debian with this tree's program in /opt/deodar, and nothing of it set up."""
    if lacking := debian.missing("systemd-nspawn", "nsenter"):
        pytest.skip(f"needs {lacking}")
    folder = tmp_path / "machine"
    packages = sysconfig.get_path("purelib")
    machine = Machine(folder, binds=(f"{packages}:{PACKAGES}", f"{ROOT / 'src'}:{SOURCE}"))
    debian.unpack(debian_root, folder)
    program = folder / "opt/deodar/bin/deodar"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(0o755)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


def install_command(world: World, port: int) -> list[str]:
    """Make a set and a service that listens on a port; returns the words that were printed."""
    world.save("branch", f'normalizer = "raw"\n[connector]\nkind = "tcp"\nport = {port}\n')
    words = ("service", "add", "branch-1", "--set", "branch", "--json")
    command = json.loads(world.run(*words))["command"]
    return ["/opt/deodar/bin/deodar", *shlex.split(command)[1:]]


def wait_for_status(world: World, wanted: str) -> dict:
    for _ in attempts(30):
        row = world.row("branch-1")
        if row["status"] == wanted:
            return row
    raise AssertionError(f"{row['status']}, not {wanted}: {row['reason']}")


def send(port: int, line: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{line}\n".encode())


def stored(world: World, id_: str) -> int:
    sql = f"select count() as n from events where ServiceID = '{id_}'"
    return int(world.core.search(sql)[0]["n"])


def test_from_the_printed_command_to_a_unit_and_back(world, host):
    port = free_port()
    command = install_command(world, port)
    printed = host.run(*command, "--install", limit=90)
    assert "is installed and runs" in printed
    id_ = command[command.index("--id") + 1]
    unit, state = f"deodar-collector-{id_}.service", f"/var/lib/deodar/collector-{id_}"
    row = wait_for_status(world, "green")
    send(port, "first")
    host.wait_for(lambda: stored(world, id_) == 1)
    assert (row["id"], row["set_version"]) == (id_, 1)

    owner = host.run("stat", "-c", "%U %a", f"{state}/core-client.pem")
    assert owner == "deodar-collector 600"
    assert host.run("systemctl", "is-enabled", unit) == "enabled"
    assert "token" not in host.run("systemctl", "cat", unit).lower()
    pid = int(host.run("systemctl", "show", "-P", "MainPID", unit))
    assert host.run("stat", "-c", "%U", f"/proc/{pid}") == "deodar-collector"
    shown = host.run("systemd-analyze", "security", "--no-pager", unit)
    exposure = float(shown.rpartition("Overall exposure level for")[2].split(":")[1].split()[0])
    assert exposure <= 2.5

    host.run("kill", "-9", pid)
    host.wait_for(lambda: host.run("systemctl", "is-active", unit, check=False) == "active")
    host.wait_for(lambda: int(host.run("systemctl", "show", "-P", "MainPID", unit)) not in (0, pid))
    wait_for_status(world, "green")
    send(port, "second")
    host.wait_for(lambda: stored(world, id_) == 2)

    words = [*command[: command.index("--pin")], "--uninstall"]
    assert f"{state} stays" in host.run(*words)
    assert host.run("systemctl", "is-active", unit, check=False) == "inactive"
    assert host.run("ls", f"{state}/journal")
    assert "deodar-collector" not in host.run("cat", "/etc/passwd")
    wait_for_status(world, "red")
