"""Kinds 6 to 8: people log on to a whole Debian in a container, and off, or are not let in."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.demo.stack import Stack, attempts, free_port

if TYPE_CHECKING:
    from tests.packaging.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]
FOUND_WITHIN = 60.0
"""Seconds that an event may take on a busy host."""
PASSWORD = "right-one"
ACCOUNTS = f"""
set -e
for name in anna bruno locked; do
  useradd -m -s /bin/bash $name
  echo $name:{PASSWORD} | chpasswd
done
usermod -L locked
echo 'anna ALL=(ALL) ALL' > /etc/sudoers.d/anna
install -d -m 700 -o anna -g anna /home/anna/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/key
ssh-keygen -q -t ed25519 -N '' -f /root/wrong
install -m 600 -o anna -g anna /root/key.pub /home/anna/.ssh/authorized_keys
mkdir -p /run/sshd
"""
SSH = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    "-o NumberOfPasswordPrompts=1"
)


class World:
    """A machine with accounts and sshd, and a SIEM with what happens in it."""

    def __init__(self, machine: Machine, stack: Stack, port: int) -> None:
        self.machine, self.stack = machine, stack
        self.port = port
        self.began = time.time()

    def sh(self, command: str) -> str:
        return self.machine.run("sh", "-c", command, check=False)

    def ssh(self, user: str, *, password: str = "", key: str = "", command: str = "id") -> str:
        way = f"-i {key} -o PasswordAuthentication=no" if key else "-o PubkeyAuthentication=no"
        before = f"sshpass -p {password} " if password else ""
        return self.sh(f"{before}ssh {SSH} {way} -p {self.port} {user}@127.0.0.1 '{command}'")

    def as_user(self, user: str, command: str) -> str:
        """Run a command as a user who sits at no terminal."""
        words = f"setpriv --reuid={user} --regid={user} --init-groups setsid --wait"
        return self.sh(f'{words} sh -c "{command}"')

    def console(self, *typed: str) -> None:
        """Log on at a terminal and type lines; each is typed when the machine waits for it."""
        ours, its = pty.openpty()
        words = ["nsenter", "-t", str(self.machine.leader), "-m", "-u", "-i", "-p", "login"]
        child = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, start_new_session=True)
        os.close(its)
        try:
            for line in typed:
                _read_until_quiet(ours)
                os.write(ours, line.encode() + b"\n")
            _read_until_quiet(ours)
        finally:
            os.close(ours)
            child.wait(30)

    def rows(self, kind: str, user: str, service: str) -> list[dict[str, Any]]:
        """Return what the SIEM has of a kind, an account and a service, since the test began."""
        return self.stack.search(
            f"SELECT * FROM events WHERE DeviceEventCategory = 'windowsevent' AND Name = '{kind}' "
            f"AND DestinationUserName = '{user}' AND DestinationServiceName = '{service}' "
            f"AND Timestamp >= {int(self.began * 1000)} ORDER BY Timestamp LIMIT 1000"
        )

    def find(self, kind: str, user: str, service: str, number: int = 1) -> list[dict[str, Any]]:
        """Wait until the SIEM has that many; fails when there are more."""
        found: list[dict[str, Any]] = []
        for _ in attempts(FOUND_WITHIN):
            found = self.rows(kind, user, service)
            if len(found) >= number:
                break
        assert len(found) == number, (kind, user, service, found)
        return found


def _read_until_quiet(terminal: int, quiet: float = 0.7, limit: float = 15.0) -> None:
    """Read until something came and nothing more does."""
    deadline, came = time.monotonic() + limit, False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], quiet)
        if not ready and came:
            return
        if ready:
            try:
                came = bool(os.read(terminal, 4096)) or came
            except OSError:  # the other end is closed
                return


@pytest.fixture(scope="module")
def world(watched) -> World:
    """Return the machine with accounts and sshd."""
    machine = watched.machine
    if machine is None:
        pytest.skip(watched.no_machine)
    machine.run("sh", "-c", ACCOUNTS)
    port = free_port(0)
    machine.run("/usr/sbin/sshd", "-p", port, "-o", "ListenAddress=127.0.0.1")
    return World(machine, watched.stack, port)


@pytest.fixture(autouse=True)
def new_test(world):
    world.began = time.time()


def test_sshd_with_a_password_and_with_a_key(world, kind):
    assert "uid=" in world.ssh("anna", password=PASSWORD)
    assert "uid=" in world.ssh("anna", key="/root/key", command="id; sh -c id; sh -c id")
    first, second = world.find("UserLogon", "anna", "sshd", 2)
    off = world.find("UserLogoff", "anna", "sshd", 2)
    for row in (first, second, *off):
        assert row["EventOutcome"] == "success"
        assert row["SourceAddress"] == "127.0.0.1"
        assert row["DestinationProcessName"].endswith("/sshd")
    kind(6, "sshd with a password and with a key")
    kind(7, "sshd whose client left")


def test_what_sshd_does_not_let_in(world, kind):
    assert "denied" in world.ssh("anna", password="wrong")
    assert "denied" in world.ssh("nobody-there", password="wrong")
    assert "denied" in world.ssh("locked", password=PASSWORD)
    assert "denied" in world.ssh("bruno", key="/root/wrong")
    for user in ("anna", "nobody-there", "locked", "bruno"):
        (row,) = world.find("UserLogonFailed", user, "sshd")
        assert row["EventOutcome"] == "failure"
        assert row["Reason"]
        assert row["SourceAddress"] == "127.0.0.1"
    assert world.rows("UserLogon", "bruno", "sshd") == []
    kind(8, "sshd: a wrong password, an unknown user, a locked account, a key that does not fit")


def test_a_console(world, kind):
    world.console("bruno", PASSWORD, "exit")
    world.console("bruno", "wrong")
    (on,) = world.find("UserLogon", "bruno", "login")
    world.find("UserLogoff", "bruno", "login")
    world.find("UserLogonFailed", "bruno", "login")
    assert on["DestinationProcessName"].endswith("/login")
    kind(6, "login at a terminal")
    kind(8, "a wrong password at a terminal")


def test_su_and_its_failure(world, kind):
    world.as_user("anna", f"echo {PASSWORD} | su -c id bruno")
    world.as_user("anna", "echo wrong | su -c id bruno")
    world.find("UserLogon", "bruno", "su")
    world.find("UserLogoff", "bruno", "su")
    (failed,) = world.find("UserLogonFailed", "bruno", "su")
    assert failed["Reason"] == "authentication failure"
    kind(6, "su")
    kind(8, "su with a wrong password")


def test_sudo_its_failure_and_its_refusal(world, kind):
    world.as_user("anna", f"echo {PASSWORD} | sudo -S id")
    world.as_user("anna", "(echo wrong; echo wrong; echo wrong) | sudo -k -S id")
    world.as_user("bruno", f"echo {PASSWORD} | sudo -S id")
    world.find("UserLogon", "root", "sudo")
    world.find("UserLogoff", "root", "sudo")
    world.find("UserLogonFailed", "anna", "sudo", 3)
    (refused,) = world.find("UserLogonFailed", "bruno", "sudo")
    assert "sudoers" in refused["Reason"]
    kind(6, "sudo")
    kind(8, "sudo with a wrong password, and of a user whom its rules refuse")


def test_a_session_that_is_killed_is_over(world, kind):
    inside = ("nsenter", "-t", str(world.machine.leader), "-m", "-u", "-i", "-p")
    login = f"sshpass -p {PASSWORD} ssh {SSH} -p {world.port} anna@127.0.0.1 sleep 60"
    session = subprocess.Popen([*inside, "sh", "-c", login])
    world.find("UserLogon", "anna", "sshd")
    world.sh("pkill -KILL -f '^sshd: anna'")
    session.wait(20)
    (off,) = world.find("UserLogoff", "anna", "sshd")
    assert off["Reason"] == "its process ended"
    kind(7, "sshd whose process was killed")


def test_jobs_and_shells_are_no_logons(world):
    world.sh("echo '* * * * * root true' > /etc/cron.d/each-minute")
    world.sh("runuser -u anna -- sh -c 'bash -c id; bash -lc id'")
    world.as_user("anna", "bash -lc id")
    world.ssh("anna", key="/root/key", command="bash -lc id; bash -c id")
    world.find("UserLogon", "anna", "sshd")  # the last of these came, so the others would have
    rows = world.stack.search(
        "SELECT DestinationServiceName FROM events WHERE DeviceEventCategory = 'windowsevent' "
        "AND DestinationUserName IN ('anna', 'root') AND startsWith(Name, 'UserLogon') "
        f"AND Timestamp >= {int(world.began * 1000)} LIMIT 100"
    )
    assert {row["DestinationServiceName"] for row in rows} == {"sshd"}
