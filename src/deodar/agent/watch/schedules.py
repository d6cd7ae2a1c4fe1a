"""The survey of scheduled tasks: cron, anacron, at, and the timers of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.agent.errors import UnusableFile
from deodar.agent.watch import account_files, at_jobs, crontab, unit_files, units
from deodar.agent.watch.files import plain
from deodar.agent.watch.schedule_changes import Task, compare
from deodar.agent.watch.survey import Look, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from deodar.agent.watch.crontab import Line
    from deodar.agent.watch.files import Entry, Files
    from deodar.agent.watch.records import ScheduleChange
    from deodar.agent.watch.units import Unit, UnitScan

SYSTEM_TABLES = "/etc/cron.d"
USER_TABLES = ("/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron")
"""Of Debian, of SUSE, of Red Hat and its relatives."""
AT_SPOOLS = ("/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/atjobs")
PERIODIC = ("hourly", "daily", "weekly", "monthly", "yearly")
MOST_TASKS = 50_000
_NO_TASKS = ("tmp.", ".", "#")
_LEFT_OVER = ("~", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp", ".rpmsave", ".rpmnew")


class _Sheet(NamedTuple):
    """A file that holds tasks of cron."""

    path: str
    parse: Callable[[bytes], tuple[Line, ...]]
    user: str = ""
    """Whose tasks they are, where its lines do not say."""


class ScheduleSurvey:
    """Reads the scheduled tasks of one root folder."""

    name = "schedules"
    kinds: Any = dict[str, tuple[Task, ...]]
    related: Mapping[str, tuple[str, ...]] = {}

    def __init__(self) -> None:
        self._folders: list[str] = []

    def folders(self, files: Files) -> Iterable[tuple[str, frozenset[str] | None]]:
        """Return the folders to watch, and which names in them matter."""
        yield "/etc", frozenset({"crontab", "anacrontab"})
        periodic = (f"/etc/cron.{period}" for period in PERIODIC)
        scanned = self._folders or [*units.SYSTEM, *units.EVERY_USER]
        for folder in (SYSTEM_TABLES, *periodic, *USER_TABLES, *AT_SPOOLS, *scanned):
            yield folder, None

    def look(self, files: Files, before: Mapping[str, Any]) -> Look:
        """Read all tasks by file; a file that cannot be read has those of before."""
        looking = _Looking(files, before)
        looking.tables()
        looking.scripts()
        looking.jobs()
        scan = units.UnitScan(files, units.accounts_with_homes(files))
        self._folders = scan.folders
        items = looking.items | _timers(scan, before)
        return Look(items, problems=(*looking.problems, *scan.problems))

    def is_doubtful(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether timers are gone or off that systemd may just make anew, as it does on reload."""
        return any(
            (key not in after and task.file.startswith(units.GENERATED))
            or (key in after and task.is_enabled and not after[key][0].is_enabled)
            for key, tasks in before.items()
            for task in tasks
        )

    def changes(
        self, before: Mapping[str, tuple[Task, ...]], after: Mapping[str, tuple[Task, ...]]
    ) -> Iterator[ScheduleChange]:
        """Yield what is different, task by task."""
        for _, old, new in differences(before, after):
            yield from compare(old or (), new or ())


class _Looking:
    """One look at the files of cron and at."""

    def __init__(self, files: Files, before: Mapping[str, Any]) -> None:
        self._files = files
        self._before = before
        self._room = MOST_TASKS
        self.items: dict[str, tuple[Task, ...]] = {}
        self.problems: list[str] = []

    def tables(self) -> None:
        """Read the tables of cron and anacron."""
        for sheet in self._sheets():
            self._keep(sheet.path, lambda one=sheet: self._of_sheet(one))  # type: ignore[misc]

    def scripts(self) -> None:
        """Find the scripts that run every hour, day, week, month."""
        for period in PERIODIC:
            folder = f"/etc/cron.{period}"
            for entry in self._names(folder):
                path, when = f"{folder}/{entry.name}", f"@{period}"
                self._keep(path, lambda at=path, on=when: self._of_script(at, on))  # type: ignore[misc]

    def jobs(self) -> None:
        """Read the jobs of at."""
        names = _account_names(self._files)
        for folder in AT_SPOOLS:
            for entry in self._names(folder):
                if at_jobs.when(entry.name):
                    path = f"{folder}/{entry.name}"
                    self._keep(path, lambda at=path: self._of_job(at, names))  # type: ignore[misc]

    def _sheets(self) -> Iterator[_Sheet]:
        yield _Sheet("/etc/crontab", crontab.system_table)
        yield _Sheet("/etc/anacrontab", crontab.anacron_table)
        for entry in self._names(SYSTEM_TABLES):
            yield _Sheet(f"{SYSTEM_TABLES}/{entry.name}", crontab.system_table)
        for folder in USER_TABLES:
            for entry in self._names(folder):
                yield _Sheet(f"{folder}/{entry.name}", crontab.user_table, plain(entry.name))

    def _of_sheet(self, sheet: _Sheet) -> tuple[Task, ...]:
        lines = self._files.parsed(sheet.path, sheet.parse)
        path = plain(sheet.path)
        return tuple(
            Task("cron", path, line.expression, line.command, line.user or sheet.user)
            for line in lines or ()
        )

    def _of_script(self, path: str, when: str) -> tuple[Task, ...]:
        digest = self._files.parsed(path, unit_files.digest_of)
        if digest is None:
            return ()
        return (Task("cron", plain(path), when, plain(path), "root", digest=digest),)

    def _of_job(self, path: str, names: Mapping[int, str]) -> tuple[Task, ...]:
        job = self._files.parsed(path, at_jobs.parse)
        if job is None:
            return ()
        when = at_jobs.when(path.rpartition("/")[2])
        return (Task("at", plain(path), when, job.command, names.get(job.uid, str(job.uid))),)

    def _keep(self, path: str, read: Callable[[], tuple[Task, ...]]) -> None:
        """Put the tasks of a file among the items, or those that it had if it cannot be read."""
        key = plain(path)
        try:
            tasks = read()
        except UnusableFile as error:
            self.problems.append(str(error))
            tasks = self._before.get(key, ())
        if len(tasks) > self._room:
            self.problems.append(f"more than {MOST_TASKS} tasks: those of {key} are not seen")
        elif tasks:
            self._room -= len(tasks)
            self.items[key] = tasks

    def _names(self, folder: str) -> list[Entry]:
        try:
            found = self._files.names(folder)
        except UnusableFile as error:
            self.problems.append(str(error))
            return []
        return [entry for entry in found if not entry.is_folder and _can_have_tasks(entry.name)]


def _can_have_tasks(name: str) -> bool:
    return not name.startswith(_NO_TASKS) and not name.endswith(_LEFT_OVER)


def _account_names(files: Files) -> dict[int, str]:
    try:
        table = files.parsed("/etc/passwd", account_files.passwd, account_files.MOST_BYTES)
    except UnusableFile:
        return {}
    rows = table.rows.values() if table is not None else ()
    return {int(row[2]): row[0] for row in reversed([*rows])}  # the first one's name holds


def _timers(scan: UnitScan, before: Mapping[str, Any]) -> dict[str, tuple[Task, ...]]:
    found = {}
    for unit in scan.units.values():
        key = f"timer:{unit.key}"
        if not unit.name.endswith(".timer") or not units.exists(unit):
            continue
        if unit.unreadable and key in before:
            found[key] = before[key]
        else:
            found[key] = (_timer(scan, unit),)
    return found


def _timer(scan: UnitScan, unit: Unit) -> Task:
    settings = unit.settings
    name = unit_files.last(settings, "Timer", "Unit") or f"{unit.name[: -len('.timer')]}.service"
    started = scan.units.get(f"{unit.manager.user}/{name}")
    runs = started.settings if started is not None else {}
    user = unit_files.last(runs, "Service", "User") or unit.manager.user or "root"
    return Task(
        "timer", unit.path, unit_files.schedule(settings), unit_files.commands(runs) or name,
        user, bool(unit.wanted_by), unit.masked,
    )  # fmt: skip
