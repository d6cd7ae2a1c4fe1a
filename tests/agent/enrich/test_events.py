from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppdeep
import pytest

from deodar.agent.enrich import converters  # noqa: F401 - fills the registry
from deodar.agent.enrich.hashes import identity_of
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of, follow
from deodar.agent.sensors.acts import RunningProcess
from deodar.agent.sensors.base import (
    Exec,
    Exit,
    Fork,
    ProcessKey,
    Record,
)
from deodar.events.codec import check
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.enrich.context import Context

NOW = 1_800_000_000_123_456_789
CHILD = ProcessKey(4_000_001, 50_000_000)
PROGRAM = Path("/bin/true").resolve()


def own_key() -> ProcessKey:
    live = live_process(os.getpid())
    assert live is not None
    return live.key


def started(**changes: Any) -> Exec:
    values: dict[str, Any] = {
        "argv": [b"/bin/true", b"a b"],
        "exe": os.fsencode(PROGRAM),
        "cwd": b"/tmp",
        "uid": 1,
        "gid": 1,
        "euid": 0,
        "egid": 0,
        "login_uid": 0,
        "session_id": 3,
        "cgroup_id": 77,
        "tty": "pts/9",
        "inode": identity_of(PROGRAM.stat()),
        "mode": 0o104755,
        "caps": 0x1FF,
        "mount_ns": 4026531841,
        "pid_ns": 4026531836,
    }
    return Exec(NOW, CHILD, own_key(), **(values | changes))


def records() -> list[Record]:
    return [
        started(),
        Fork(NOW, CHILD, own_key(), uid=1, comm=b"true"),
        Exit(NOW, CHILD, exit_code=3, run_time_ns=5_000),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_event_fits_the_vocabulary(context: Context, record: Record) -> None:
    event = event_of(context, record)
    assert check(event) == []
    allowed = set(VOCABULARY.types[event["EventType"]].fields)
    assert set(event) <= allowed
    assert event["Timestamp"] == NOW // 1000
    assert event["HostName"] == "host-1"
    assert "" not in event.values()
    assert None not in event.values()


def test_process_tells_program_parent_and_users(context: Context) -> None:
    event = event_of(context, started())
    content = PROGRAM.read_bytes()
    assert event["EventType"] == "process"
    assert event["StartupParameters"] == "/bin/true 'a b'"
    assert event["FileFullName"] == str(PROGRAM)
    assert (event["FilePath"], event["FileName"]) == (str(PROGRAM.parent), PROGRAM.name)
    assert event["Md5"] == hashlib.md5(content).hexdigest()
    assert event["Sha256"] == hashlib.sha256(content).hexdigest()
    assert event["FileSize"] == len(content)
    assert event["FileType"] == 8
    assert (event["UserName"], event["RealUserName"], event["LoginUserName"]) == (
        "root",
        "daemon",
        "root",
    )
    assert (event["Uid"], event["RealUid"], event["LogonSessionId"]) == (0, 1, 3)
    assert event["ParentSystemPid"] == os.getpid()
    assert event["ParentFileFullName"] == os.path.realpath(sys.executable)
    assert event["ParentSha256"] == hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest()
    assert (event["WorkingDirectory"], event["Tty"], event["CgroupId"]) == ("/tmp", "pts/9", 77)


def test_process_tells_what_only_the_kernel_knows(context: Context) -> None:
    event = event_of(context, started())
    stat = PROGRAM.stat()
    assert event["FileAttributes"] == 0o104755
    assert event["Capabilities"] == "1ff"
    assert (event["MountNamespace"], event["PidNamespace"]) == (4026531841, 4026531836)
    assert event["FileDevice"] == f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}"
    assert (event["FileInode"], event["FileLastChangeTime"]) == (
        stat.st_ino,
        stat.st_ctime_ns // 1000,
    )


def test_content_of_a_program_is_told_once(context: Context) -> None:
    event = event_of(context, started())
    content = PROGRAM.read_bytes()
    assert event["FileHeader"] == content[:16].hex()
    assert 0 < event["FileEntropy"] < 8000
    later = event_of(context, Exit(NOW, CHILD, exit_code=3))
    told = event.get("FuzzyHash") or later.get("FuzzyHash") or eventually(context, "FuzzyHash")
    assert told == ppdeep.hash(content)
    assert ("FuzzyHash" in event) != ("FileHeader" in later)


def eventually(context: Context, field: str) -> Any:
    """Return a field of the first event that has it."""
    deadline = time.monotonic() + 60
    while field not in (event := event_of(context, started())):
        assert time.monotonic() < deadline
    return event[field]


def test_events_of_one_process_carry_one_unique_pid(context: Context) -> None:
    events = [event_of(context, record) for record in records()[:5]]
    assert len({event["UniquePid"] for event in events}) == 1
    child = started(argv=[b"x"])
    child.key, child.parent = ProcessKey(4_000_002, 90_000_000), CHILD
    event = event_of(context, child)
    assert event["UniqueParentPid"] == events[0]["UniquePid"]
    assert event["UniquePid"] != events[0]["UniquePid"]


def test_parent_that_has_ended_still_names_itself_to_its_child(context: Context) -> None:
    event_of(context, started())
    event_of(context, Exit(NOW, CHILD))
    child = started()
    child.key, child.parent = ProcessKey(4_000_002, 90_000_000), CHILD
    event = event_of(context, child)
    assert event["ParentStartupParameters"] == "/bin/true 'a b'"
    assert event["ParentMd5"] == hashlib.md5(PROGRAM.read_bytes()).hexdigest()


def test_fork_has_the_program_of_its_parent_until_it_runs_another(context: Context) -> None:
    event_of(context, started())
    forked = ProcessKey(4_000_003, 90_000_000)
    event = event_of(context, Fork(NOW, forked, CHILD, uid=1, euid=1))
    assert event["EventType"] == "process_fork"
    assert event["StartupParameters"] == "/bin/true 'a b'"
    assert event["ParentSystemPid"] == CHILD.pid
    assert event["UserName"] == "daemon"
    other = started(argv=[b"other"])
    other.key, other.parent = forked, CHILD
    event_of(context, other)
    assert event_of(context, Exit(NOW, forked))["StartupParameters"] == "other"
    assert event_of(context, Exit(NOW, CHILD))["StartupParameters"] == "/bin/true 'a b'"


def test_end_tells_code_or_signal_but_never_both(context: Context) -> None:
    event_of(context, started())
    by_itself = event_of(context, Exit(NOW, CHILD, exit_code=0, run_time_ns=1_500_000))
    assert (by_itself["ExitCode"], by_itself["RunTimeUs"]) == (0, 1500)
    assert "ExitSignal" not in by_itself
    killed = event_of(context, Exit(NOW, CHILD, signal=9))
    assert killed["ExitSignal"] == 9
    assert "ExitCode" not in killed
    assert killed["EndTime"] == NOW // 1000


def test_unknown_process_still_has_its_end_told(context: Context) -> None:
    event = event_of(context, Exit(NOW, ProcessKey(4_000_009, 0), exit_code=1))
    assert (event["SystemPid"], event["ExitCode"]) == (4_000_009, 1)
    assert "UniquePid" not in event


def test_cut_arguments_and_deleted_programs_are_marked(context: Context) -> None:
    event = event_of(context, started(argv_truncated=True, deleted=True))
    assert (event["StartupParametersTruncated"], event["FileDeleted"]) == (1, 1)


def test_program_in_memory_is_marked(context: Context) -> None:
    event = event_of(context, started(exe=b"/memfd:x", deleted=True, in_memory=True))
    assert event["FileMemoryBacked"] == 1
    assert "FileMemoryBacked" not in event_of(context, started(deleted=True))


def test_bytes_that_are_no_text_do_not_stop_the_event(context: Context) -> None:
    event = event_of(
        context, started(argv=[b"\xff\xfe"], exe=b"/bin/\xff", cwd=b"/\xfe", inode=None)
    )
    assert event["StartupParameters"] == r"$'\xff\xfe'"
    assert event["FileFullName"] == "/bin/\\xff"
    assert check(event) == []


def test_process_of_which_nothing_was_seen_has_its_name(context: Context) -> None:
    bare = started(argv=[], exe=b"", comm=b"kworker", inode=None, cwd=b"", tty="", complete=False)
    event = event_of(context, bare)
    assert event["FileFullName"] == "kworker"
    assert event["SystemPid"] == CHILD.pid


def test_processes_of_records_without_an_event_can_be_named_later(context: Context) -> None:
    """Their programs are not read for that, only when somebody asks."""
    follow(context, Fork(NOW, CHILD, own_key(), uid=1, comm=b"true"))
    forked = context.processes.get(CHILD)
    assert forked is not None
    assert forked.image.exe == os.path.realpath(sys.executable)
    follow(context, started())
    process = context.processes.get(CHILD)
    assert process is not None
    assert (process.image.exe, process.image.looked_up) == (str(PROGRAM), False)
    assert context.hasher.misses == 0
    grandchild = ProcessKey(4_000_009, 60_000_000)
    event = event_of(context, Fork(NOW, grandchild, CHILD, comm=b"true"))
    assert event["ParentFileFullName"] == str(PROGRAM)
    follow(context, Exit(NOW, CHILD))
    assert process.ended


def test_a_process_that_ran_before_is_marked(context: Any, until: Callable[..., Any]) -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        until(lambda: b"600" in Path(f"/proc/{child.pid}/cmdline").read_bytes())
        live = live_process(child.pid)
        assert live is not None
        event = event_of(context, RunningProcess(5_000, live.key))
    finally:
        child.kill()
        child.wait()
    assert (event["EventType"], event["AlreadyRunning"]) == ("process", 1)
    assert (event["SystemPid"], event["FileName"]) == (child.pid, "sleep")
    assert event["ParentSystemPid"] == os.getpid()
    assert event["StartupParameters"] == "sleep 600"
