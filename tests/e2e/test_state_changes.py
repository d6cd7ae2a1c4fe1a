"""What the watcher of accounts, tasks and services tells of a real Debian, tool by tool.

The machine is a container on this kernel; the watcher is outside of it, in this process. The way
of such events into the SIEM is in tests/e2e/telemetry.
"""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.sensors.conftest import PATIENCE
from tests.machines import debian
from tests.packaging.machine import Machine

from deodar.agent.gather.service_runs import ServiceRuns
from deodar.agent.sensors.acts import CgroupChange, FileChange
from deodar.agent.sensors.base import Exec, ProcessKey
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import SensorError
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.files import FILES
from deodar.agent.sensors.parts.groups import GROUPS
from deodar.agent.settings import AgentSettings, WatchSettings
from deodar.agent.watch.records import AccountChange, ScheduleChange, ServiceChange, ServiceRun
from deodar.agent.watch.state import StateWatcher
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]
UNIT = "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n"
BASELINE = ("accounts", "schedules", "services")
FOUND_WITHIN = 60.0


class Guest:
    """A Debian, and what was told of it."""

    def __init__(self, machine: Machine, state: Path) -> None:
        self.machine = machine
        self.told: list[Any] = []
        self._state = StateDirectory.create(state)
        root = f"/proc/{machine.leader}/root"
        settings = AgentSettings(agent_id="a", watch=WatchSettings(root=root))
        self.watcher = StateWatcher(settings, self._state)
        self.programs: dict[ProcessKey, bytes] = {}
        self.no_sensor = ""
        self._sensor = BpfSensor(own_pid=0, parts=(CORE, FILES, GROUPS))
        self._runs = ServiceRuns()
        self._is_over = False
        self._reader = threading.Thread(target=self._read)

    def start(self) -> None:
        try:
            self._sensor.open()
        except SensorError as error:
            self.no_sensor = str(error)
        else:
            self._reader.start()
        self.watcher.open(self.told.extend)
        self.wait_for(lambda: all(self._state.has(f"watch-{name}.json") for name in BASELINE))

    def stop(self) -> None:
        self._is_over = True
        self.watcher.close()
        if not self.no_sensor:
            self._reader.join(10)
        self._sensor.close()

    def _read(self) -> None:
        """Do with the sensor's records what the pipeline does."""
        assert self.watcher.gatherer is not None
        while not self._is_over:
            for record in self._sensor.read(0.2):
                if isinstance(record, CgroupChange):
                    self.told += self._runs.take(record)
                elif isinstance(record, FileChange):
                    self.watcher.gatherer.see(record)
                elif isinstance(record, Exec):
                    self.programs[record.key] = record.exe
            self.told += self._runs.due(time.monotonic())

    def run(self, script: str, *words: str) -> str:
        return self.machine.run("sh", "-ec", script, "sh", *words)

    def wait_for(self, condition: Any) -> Any:
        """Return what the condition gives as soon as it is true."""
        deadline = time.monotonic() + FOUND_WITHIN * PATIENCE
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited in vain; the last: {self.told[-5:]}"
            time.sleep(0.05)
        return found

    def find(self, kind: type, what: str, name: str, change: str = "") -> Any:
        """Return the record of a change; the changes have to contain `change`."""

        def found() -> Any:
            for record in [*self.told]:
                if type(record) is kind and _tells(record, what, name, change):
                    return record
            return None

        return self.wait_for(found)

    def account(self, what: str, name: str, change: str = "") -> AccountChange:
        return self.find(AccountChange, what, name, change)

    def task(self, what: str, name: str, change: str = "") -> ScheduleChange:
        return self.find(ScheduleChange, what, name, change)

    def service(self, what: str, name: str, change: str = "") -> ServiceChange:
        return self.find(ServiceChange, what, name, change)

    def ran(self, name: str, *, running: bool) -> ServiceRun:
        return self.wait_for(
            lambda: [r for r in self.told if _is_run(r) and (r.name, r.running) == (name, running)]
        )[0]


def _tells(record: Any, what: str, name: str, change: str) -> bool:
    if record.operation != what or change not in "; ".join(record.changes):
        return False
    return name in record.command if isinstance(record, ScheduleChange) else name == record.name


def _is_run(record: object) -> bool:
    return isinstance(record, ServiceRun)


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    if lacking := debian.missing("debootstrap", "tar", "systemd-nspawn", "nsenter"):
        pytest.skip(f"needs {lacking}")
    try:
        image = debian.debian_root("cron", "at")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no Debian root can be had here: {error}")
    folder = tmp_path_factory.mktemp("guest")
    machine = Machine(folder / "root")
    debian.unpack(image, machine.folder)
    try:
        machine.start()
        one = Guest(machine, folder / "state")
        one.start()
        yield one
        one.stop()
    finally:
        machine.stop()


@pytest.fixture
def mark() -> str:
    return f"m{uuid.uuid4().hex[:12]}"


def test_an_account_by_the_usual_tools(guest: Guest, mark: str) -> None:
    guest.run('useradd -m -s /bin/bash -c "A person" "$1"', mark)
    record = guest.account("Created", mark)
    assert (record.number, record.home) == (1000, f"/home/{mark}")
    guest.run('echo "$1:secret" | chpasswd', mark)
    assert guest.account("Modified", mark, "password").file == "/etc/shadow"
    guest.run('usermod -s /bin/dash -aG cdrom "$1"', mark)
    guest.account("Modified", mark, "shell: /bin/bash -> /bin/dash")
    guest.account("Modified", "cdrom", f"members: none -> {mark}")
    guest.run('gpasswd -d "$1" cdrom', mark)
    guest.account("Modified", mark, f"groups: cdrom, {mark} -> {mark}")
    guest.run('passwd -l "$1"', mark)
    guest.account("Modified", mark, "locked: no -> yes")
    guest.run('chage -E 2030-01-01 "$1"', mark)
    guest.account("Modified", mark, "account expires: none -> 21915")
    guest.run('usermod -l "$1x" "$1"', mark)
    guest.account("Modified", f"{mark}x", f"name: {mark} -> {mark}x")
    guest.run('userdel -r "$1x"', mark)
    guest.account("Deleted", f"{mark}x")
    assert not any("secret" in str(record) for record in guest.told)


def test_an_account_by_hand(guest: Guest, mark: str) -> None:
    guest.run('echo "$1:x:0:0::/root:/bin/sh" >>/etc/passwd', mark)
    assert guest.account("Created", mark).number == 0
    guest.run('sed -i "s#^$1:x:0:0::/root#$1:x:0:0::/tmp#" /etc/passwd', mark)
    guest.account("Modified", mark, "home: /root -> /tmp")
    guest.run('grep -v "^$1:" /etc/passwd >/tmp/p && cat /tmp/p >/etc/passwd', mark)
    guest.account("Deleted", mark)


def test_a_task_by_crontab_and_by_hand(guest: Guest, mark: str) -> None:
    guest.run('echo "*/7 * * * * /bin/echo $1" | crontab -', mark)
    record = guest.task("Created", mark)
    assert (record.kind, record.user, record.expression) == ("cron", "root", "*/7 * * * *")
    assert record.file == "/var/spool/cron/crontabs/root"
    guest.run('crontab -l | sed "s#/7#/9#" | crontab -')
    guest.task("Modified", mark, "expression: */7 * * * * -> */9 * * * *")
    guest.run("crontab -r")
    guest.task("Deleted", mark)
    guest.run('echo "1 2 3 4 5 daemon /bin/true $1" >/etc/cron.d/x', mark)
    assert guest.task("Created", f"/bin/true {mark}").user == "daemon"
    guest.run("rm /etc/cron.d/x")
    guest.task("Deleted", f"/bin/true {mark}")


def test_a_task_by_at(guest: Guest, mark: str) -> None:
    guest.run('echo "/bin/echo $1" | at now + 3 hours', mark)
    record = guest.task("Created", mark)
    assert (record.kind, record.user, record.command) == ("at", "root", f"/bin/echo {mark}")
    guest.run("atrm $(atq | cut -f 1)")
    guest.task("Deleted", mark)


def test_a_timer_of_systemd_run(guest: Guest, mark: str) -> None:
    guest.run('systemd-run --unit "$1" --on-calendar "*-*-* 03:04" /bin/echo "$1"', mark)
    record = guest.task("Created", mark)
    assert (record.kind, record.expression) == ("timer", "OnCalendar=*-*-* 03:04")
    assert record.file == f"/run/systemd/transient/{mark}.timer"
    guest.run('systemctl stop "$1.timer"', mark)
    guest.task("Deleted", mark)


def test_a_unit_from_its_file_to_its_end(guest: Guest, mark: str) -> None:
    name, path = f"{mark}.service", f"/etc/systemd/system/{mark}.service"
    guest.run('echo "$2" >"$1"; systemctl daemon-reload', path, UNIT)
    assert guest.service("Created", name).path == path
    guest.run('systemctl enable "$1"', name)
    guest.service("Modified", name, "enabled: no -> yes (multi-user.target)")
    guest.run('sed -i s/1000/2000/ "$1"', path)
    guest.service("Modified", name, "command: /bin/sleep 1000 -> /bin/sleep 2000")
    guest.run('systemctl disable "$1"', name)
    guest.service("Modified", name, "enabled: yes -> no (multi-user.target)")
    guest.run('rm "$1"', path)
    guest.service("Deleted", name)


def test_a_mask_and_an_addition(guest: Guest) -> None:
    guest.run("systemctl mask cron.service")
    guest.service("Modified", "cron.service", "masked: no -> yes")
    guest.run("systemctl unmask cron.service")
    guest.service("Modified", "cron.service", "masked: yes -> no")
    folder = "/etc/systemd/system/cron.service.d"
    guest.run('mkdir -p "$1"; printf "[Service]\\nUser=daemon\\n" >"$1/more.conf"', folder)
    guest.service("Modified", "cron.service", f"drop-in added: {folder}/more.conf")


def test_a_unit_is_started_and_stopped(guest: Guest, mark: str) -> None:
    if guest.no_sensor:
        pytest.skip(guest.no_sensor)
    name = f"{mark}.service"
    guest.run('echo "$2" >"/etc/systemd/system/$1"; systemctl daemon-reload', name, UNIT)
    guest.run('systemctl start "$1"', name)
    record = guest.ran(name, running=True)
    assert record.group.endswith(f"/system.slice/{name}")
    assert record.key.pid == guest.machine.leader
    assert not [r for r in guest.told if _is_run(r) and r.name == name and not r.running]
    guest.run('systemctl stop "$1"', name)
    guest.ran(name, running=False)


def test_a_transient_unit_ends_by_itself(guest: Guest, mark: str) -> None:
    if guest.no_sensor:
        pytest.skip(guest.no_sensor)
    guest.run('systemd-run --unit "$1" /bin/sleep 1', mark)
    guest.service("Created", f"{mark}.service")
    guest.ran(f"{mark}.service", running=True)
    guest.ran(f"{mark}.service", running=False)
    guest.service("Deleted", f"{mark}.service")


def test_what_changes_nothing_tells_nothing(guest: Guest, mark: str) -> None:
    guest.wait_for(lambda: not guest.watcher._attribution)
    before = len(guest.told)
    guest.run("touch /etc/passwd /etc/shadow /etc/crontab /lib/systemd/system/cron.service")
    guest.run("cp /etc/group /tmp/g; cat /tmp/g >/etc/group; systemctl daemon-reload")
    guest.run('useradd -M "$1"', mark)
    guest.account("Created", mark)
    guest.run('echo "1 1 * * * root /bin/$1" >/etc/cron.d/last', mark)
    guest.task("Created", mark)
    guest.run('echo "$2" >"/etc/systemd/system/$1-last.service"', mark, UNIT)
    guest.service("Created", f"{mark}-last.service")
    since = [r for r in guest.told[before:] if not _is_run(r)]
    assert {getattr(r, "name", "") or r.command for r in since} == {
        mark,
        f"/bin/{mark}",
        f"{mark}-last.service",
    }


def test_a_change_is_put_down_to_the_process_that_made_it(guest: Guest, mark: str) -> None:
    if guest.no_sensor:
        pytest.skip(guest.no_sensor)

    def by(record: Any) -> bytes:
        return guest.programs[record.key].rpartition(b"/")[2]

    guest.run('useradd -M "$1"', mark)
    assert by(guest.account("Created", mark)) == b"useradd"
    guest.run('sed -i "s#^$1:\\(.*\\):[^:]*#$1:\\1:/bin/false#" /etc/passwd', mark)
    assert by(guest.account("Modified", mark, "-> /bin/false")) == b"sed"
    guest.run('echo "hand$1:x:4999:" >>/etc/group', mark)
    assert by(guest.account("Created", f"hand{mark}")) == b"dash"
    guest.run('echo "1 1 * * * /bin/$1" | crontab -', mark)
    assert by(guest.task("Created", mark)) == b"crontab"
    guest.run('echo "$2" >"/etc/systemd/system/$1.service"', mark, UNIT)
    assert by(guest.service("Created", f"{mark}.service")) == b"dash"
    guest.run("crontab -r")
    assert by(guest.task("Deleted", mark)) == b"crontab"
    guest.run('systemctl daemon-reload; systemctl enable "$1.service"', mark)
    enabled = guest.service("Modified", f"{mark}.service", "enabled: no -> yes")
    assert enabled.key.pid == guest.machine.leader
