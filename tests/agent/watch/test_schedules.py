"""Scheduled tasks of cron, anacron, at and systemd, in all places where they can be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.agent.conftest import wait_for

from deodar.agent.sensors.base import Lost
from deodar.agent.watch.schedules import ScheduleSurvey

if TYPE_CHECKING:
    from tests.agent.watch.conftest import Host

    from deodar.agent.watch.files import Files

JOB = """#!/bin/sh
# atrun uid=1000 gid=1000
# mail anna 0
umask 22
LANG=C.UTF-8; export LANG
cd /home/anna || {
\t echo 'Execution directory inaccessible' >&2
\t exit 1
}
${SHELL:-/bin/sh} << 'marcinDELIMITER6ea31d5b'
/usr/bin/later --now

marcinDELIMITER6ea31d5b
"""


def test_a_task_of_an_account_is_added_changed_and_removed(watched: Host) -> None:
    table = "var/spool/cron/crontabs/anna"
    watched.write(f"{table[:-4]}tmp.Xa3b", "* * * * * /tmp/not-yet\n")
    watched.replace(table, "0 3 * * 1 /usr/bin/weekly > /dev/null\n")
    wait_for(lambda: watched.told)
    record = watched.told[0]
    assert (record.kind, record.user, record.expression) == ("cron", "anna", "0 3 * * 1")
    assert record.file == f"/{table}"
    watched.expect(("ScheduledTaskCreated", "/usr/bin/weekly > /dev/null"))
    watched.edit(table, "0 3", "*/2 3")
    change = "expression: 0 3 * * 1 -> */2 3 * * 1"
    watched.expect(("ScheduledTaskModified", "/usr/bin/weekly > /dev/null", change))
    watched.edit(table, "weekly > /dev/null", "daily")
    change = "command: /usr/bin/weekly > /dev/null -> /usr/bin/daily"
    watched.expect(("ScheduledTaskModified", "/usr/bin/daily", change))
    (watched.root / table).unlink()
    watched.expect(("ScheduledTaskDeleted", "/usr/bin/daily"))


@pytest.mark.parametrize(
    ("file", "text", "command"),
    [
        ("etc/crontab", "17 * * * * root run-parts /etc/cron.hourly\n@reboot root /tmp/x\n",
         "/tmp/x"),
        ("etc/cron.d/new", "1 2 3 4 5 anna /tmp/x --all\n", "/tmp/x --all"),
        ("var/spool/cron/anna", "1 2 3 4 5 /tmp/x\n", "/tmp/x"),
        ("etc/anacrontab", "7 10 cron.weekly /tmp/x\n", "/tmp/x"),
        ("etc/cron.daily/new", "#!/bin/sh\n/tmp/x\n", "/etc/cron.daily/new"),
        ("var/spool/cron/atjobs/a0000101bbaa00", JOB, "/usr/bin/later --now"),
        ("etc/systemd/system/new.timer", "[Timer]\nOnBootSec=1\nUnit=one.service\n",
         "/usr/bin/one"),
        ("home/anna/.config/systemd/user/own.timer", "[Timer]\nOnBootSec=1\n", "own.service"),
    ],
)  # fmt: skip
def test_a_task_is_made_in_any_place(watched: Host, file: str, text: str, command: str) -> None:
    watched.write(file, text)
    watched.expect(("ScheduledTaskCreated", command))


def test_a_job_of_at_says_for_whom_and_when(watched: Host) -> None:
    path = watched.write("var/spool/cron/atjobs/a0000101bbaa00", JOB)
    wait_for(lambda: watched.told)
    record = watched.told[0]
    assert (record.kind, record.user) == ("at", "anna")
    assert record.expression == "2025-04-13 15:28 UTC"
    watched.told.clear()
    path.rename(path.with_name("=0000101bbaa00"))  # as at does when the job begins
    watched.expect(("ScheduledTaskDeleted", "/usr/bin/later --now"))


def test_a_timer_of_systemd(watched: Host) -> None:
    folder = "etc/systemd/system/timers.target.wants"
    (watched.root / folder).mkdir(parents=True)
    link = watched.root / folder / "tick.timer"
    link.symlink_to("/usr/lib/systemd/system/tick.timer")
    watched.expect(("ScheduledTaskModified", "/usr/bin/tick", "enabled: no -> yes"))
    watched.edit("usr/lib/systemd/system/tick.timer", "daily", "hourly")
    change = "expression: OnCalendar=daily -> OnCalendar=hourly"
    watched.expect(("ScheduledTaskModified", "/usr/bin/tick", change))
    watched.write("etc/systemd/system/tick.timer.d/more.conf", "[Timer]\nOnBootSec=60\n")
    change = "expression: OnCalendar=hourly -> OnCalendar=hourly; OnBootSec=60"
    watched.expect(("ScheduledTaskModified", "/usr/bin/tick", change))
    link.unlink()
    watched.expect(("ScheduledTaskModified", "/usr/bin/tick", "enabled: yes -> no"))


def test_a_timer_whose_service_runs_something_else_is_changed(watched: Host) -> None:
    text = "[Service]\nExecStart=/tmp/evil\nUser=anna\n"
    watched.replace("usr/lib/systemd/system/tick.service", text)
    changes = ("command: /usr/bin/tick -> /tmp/evil", "user: none -> anna")
    task = ("ScheduledTaskModified", "/tmp/evil", changes[0], "user: root -> anna")
    watched.expect(("ServiceModified", "tick.service", *changes), task)


def test_a_script_that_runs_daily_is_told_when_its_content_changes(watched: Host) -> None:
    watched.write("etc/cron.daily/job", "#!/bin/sh\n/bin/one\n", mode=0o755)
    watched.expect(("ScheduledTaskCreated", "/etc/cron.daily/job"))
    watched.edit("etc/cron.daily/job", "one", "two")
    watched.expect(("ScheduledTaskModified", "/etc/cron.daily/job", "content"))


def test_is_doubtful_when_a_timer_is_off(host: Host, files: Files) -> None:
    folder = host.root / "run/systemd/generator/timers.target.wants"
    folder.mkdir(parents=True)
    (folder / "tick.timer").symlink_to("/usr/lib/systemd/system/tick.timer")
    survey = ScheduleSurvey()
    before = survey.look(files, {}).items
    (folder / "tick.timer").unlink()
    after = survey.look(files, {}).items
    assert survey.is_doubtful(before, after)
    assert not survey.is_doubtful(after, before)


def test_what_is_no_task_tells_nothing(watched: Host) -> None:
    os.utime(watched.root / "etc/crontab")
    watched.edit("etc/cron.d/sample", "*/5", "# a comment\nPATH=/bin\n*/5")
    watched.write("etc/cron.d/.swap", "* * * * * root /bin/x\n")
    watched.write("etc/cron.d/old.dpkg-old", "* * * * * root /bin/x\n")
    watched.write("etc/cron.d/broken", "this is no line of cron\n")
    watched.expect_nothing()


def test_a_folder_that_is_made_later_is_watched(watched: Host) -> None:
    watched.write("var/spool/at/a0000201bbaa00", JOB)
    watched.expect(("ScheduledTaskCreated", "/usr/bin/later --now"))


def test_a_table_that_cannot_be_read_keeps_its_tasks(watched: Host) -> None:
    path = watched.root / "etc/cron.d/sample"
    os.mkfifo(f"{path}.new")
    path.with_name("sample.new").rename(path)
    wait_for(lambda: any(isinstance(record, Lost) for record in watched.told))
    assert watched.changes == []
    path.unlink()
    watched.expect(("ScheduledTaskDeleted", "/usr/bin/sample"))


def test_tasks_beyond_the_limit_are_told_of(watched: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deodar.agent.watch.schedules.MOST_TASKS", 5)
    watched.write("etc/cron.d/flood", "".join(f"{n} * * * * root /{n}\n" for n in range(9)))
    wait_for(lambda: watched.told)
    assert "more than 5 tasks" in watched.told[0].reason
