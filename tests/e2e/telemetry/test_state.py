"""Kinds 13 to 16 and 24 to 26: accounts, scheduled tasks and services of a whole Debian.

The tools are the real ones, in a machine of its own; beside each, the same change is made without
any tool, by editing the file.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(600)]


@pytest.fixture
def machine(watched):
    if watched.machine is None:
        pytest.skip(watched.no_machine)
    return watched.machine


def told(watched, kind: str, *conditions: str) -> dict:
    """The event of a kind, which must have succeeded."""
    row = watched.row("windowsevent", f"Name = '{kind}'", *conditions)
    assert row["EventOutcome"] == "success"
    return row


def on(name: str) -> str:
    return f"DestinationUserName = '{name}'"


def unit(name: str) -> str:
    return f"DestinationServiceName = '{name}'"


def test_accounts_are_created_by_tool_and_by_hand(watched, machine, mark, kind):
    tool, hand = f"{mark[:12]}t", f"{mark[:12]}h"
    machine.run("useradd", "-m", "-s", "/bin/bash", tool)
    machine.run("sh", "-c", f"echo '{hand}:x:4711:100::/nowhere:/bin/sh' >> /etc/passwd")
    row = told(watched, "UserCreated", on(tool))
    assert dict(row["Extra"])["TargetShell"] == "/bin/bash"
    assert "useradd" in row["DestinationProcessName"]
    row = told(watched, "UserCreated", on(hand))
    assert row["DestinationUserID"] == "4711"
    kind(14, "useradd, and a line appended to /etc/passwd by a shell")


def test_accounts_are_modified_by_tool_and_by_hand(watched, machine, mark, kind):
    name = f"{mark[:12]}m"
    machine.run("useradd", "-s", "/bin/bash", name)
    told(watched, "UserCreated", on(name))
    machine.run("sh", "-c", f"echo {name}:geheim | chpasswd")
    password = told(watched, "UserModified", on(name), "DeviceCustomString3 LIKE '%password%'")
    assert "geheim" not in password["DeviceCustomString3"]  # the shell's command line has it
    assert "$y$" not in str(password)
    machine.run("usermod", "-aG", "games", name)
    told(watched, "UserModified", on(name), "DeviceCustomString3 LIKE '%games%'")
    machine.run("sed", "-i", f"s|^\\({name}:.*\\):/bin/bash$|\\1:/bin/dash|", "/etc/passwd")
    row = told(watched, "UserModified", on(name), "DeviceCustomString3 LIKE '%shell%'")
    assert dict(row["Extra"])["TargetShell"] == "/bin/dash"
    kind(15, "password by chpasswd, groups by usermod, shell by sed on /etc/passwd")


def test_accounts_are_deleted_by_tool_and_by_hand(watched, machine, mark, kind):
    tool, hand = f"{mark[:12]}d", f"{mark[:12]}e"
    for name in (tool, hand):
        machine.run("useradd", name)
        told(watched, "UserCreated", on(name))
    machine.run("userdel", tool)
    machine.run("sed", "-i", f"/^{hand}:/d", "/etc/passwd")
    told(watched, "UserDeleted", on(tool))
    told(watched, "UserDeleted", on(hand))
    kind(16, "userdel, and sed on /etc/passwd")


def test_reading_and_touching_the_account_files_changes_no_account(watched, machine, mark):
    machine.run("sh", "-c", f"getent passwd; touch /etc/passwd; id root; : {mark}")
    script = watched.row("process", f"DeviceCustomString4 LIKE '%: {mark}%'")
    after = f"EndTime >= {script['EndTime']}"
    assert watched.none("windowsevent", "Name LIKE 'User%ed'", after, "Name NOT LIKE '%Logon%'")


def test_scheduled_tasks(watched, machine, mark, kind):
    command = f"/bin/true {mark}"
    machine.run("sh", "-c", f"echo '5 4 * * * {command} tab' | crontab -")
    row = told(watched, "ScheduledTaskCreated", f"DeviceCustomString5 LIKE '%{mark} tab%'")
    assert (row["DeviceFacility"], row["DeviceCustomString6"]) == ("cron", "5 4 * * *")
    assert row["OldFilePath"] == "/var/spool/cron/crontabs/root"
    machine.run("sh", "-c", f"echo '@daily root {command} file' > /etc/cron.d/{mark}")
    told(watched, "ScheduledTaskCreated", f"DeviceCustomString5 LIKE '%{mark} file%'")
    timed = f"--unit={mark}", "--on-calendar=*-01-01 00:00:00"
    machine.run("systemd-run", *timed, "/bin/true", mark)
    told(watched, "ScheduledTaskCreated", "DeviceFacility = 'timer'",
         f"(OldFilePath LIKE '%{mark}%')")  # fmt: skip
    machine.run("sed", "-i", "s/@daily/@hourly/", f"/etc/cron.d/{mark}")
    told(watched, "ScheduledTaskModified", f"DeviceCustomString5 LIKE '%{mark} file%'")
    machine.run("crontab", "-r")
    machine.run("rm", f"/etc/cron.d/{mark}")
    told(watched, "ScheduledTaskDeleted", f"DeviceCustomString5 LIKE '%{mark} tab%'")
    told(watched, "ScheduledTaskDeleted", f"DeviceCustomString5 LIKE '%{mark} file%'")
    kind(13, "crontab, a file in /etc/cron.d, systemd-run --on-calendar; changed and removed too")


def test_a_script_named_like_a_cron_file_is_no_task(watched, machine, mark):
    machine.run("sh", "-c", f"echo '5 4 * * * /bin/true {mark}' > /tmp/crontab")
    assert watched.none("windowsevent", "Name LIKE 'ScheduledTask%'",
                        f"DeviceCustomString5 LIKE '%{mark}%'")  # fmt: skip


def test_services(watched, machine, mark, kind):
    text = f"[Service]\nExecStart=/bin/sleep 1234 {mark}\n[Install]\nWantedBy=multi-user.target\n"
    path = f"/etc/systemd/system/{mark}.service"
    machine.run("sh", "-c", f"cat > {path} <<'END'\n{text}END")
    row = told(watched, "ServiceCreated", unit(f"{mark}.service"))
    assert row["OldFilePath"] == path
    assert f"sleep 1234 {mark}" in row["DeviceCustomString5"]
    machine.run("systemd-run", f"--unit={mark}-t", "/bin/sleep", "1234")
    told(watched, "ServiceCreated", unit(f"{mark}-t.service"))
    kind(24, "a unit file written by a shell, and a transient unit of systemd-run")
    machine.run("systemctl", "enable", f"{mark}.service")
    told(watched, "ServiceModified", unit(f"{mark}.service"), "DeviceCustomString3 LIKE '%nabled%'")
    machine.run("sed", "-i", "s/1234/4321/", path)
    told(watched, "ServiceModified", unit(f"{mark}.service"), "DeviceCustomString5 LIKE '%4321%'")
    kind(25, "systemctl enable, and sed on the unit file")
    machine.run("systemctl", "disable", f"{mark}.service")
    machine.run("rm", path)
    told(watched, "ServiceDeleted", unit(f"{mark}.service"))
    machine.run("systemctl", "stop", f"{mark}-t.service")
    told(watched, "ServiceDeleted", unit(f"{mark}-t.service"))
    kind(26, "the unit file removed, and a transient unit stopped")


def test_a_file_of_another_kind_beside_the_units_is_no_service(watched, machine, mark):
    machine.run("sh", "-c", f"echo text > /etc/systemd/system/{mark}.txt")
    machine.run("systemctl", "daemon-reload")
    assert watched.none("windowsevent", f"DestinationServiceName LIKE '%{mark}%'")
