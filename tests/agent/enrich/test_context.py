from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.enrich import proc
from deodar.agent.enrich.context import text
from deodar.agent.enrich.hashes import identity_of
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.processes import Process
from deodar.agent.sensors.base import UNKNOWN_PROCESS, Exec, Fork, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

GONE = ProcessKey(4_000_000, 10_000_000)
NOW = 1_800_000_000_000_000_000
TICK = 10_000_000


def test_table_is_filled_with_what_runs_already(context: Context) -> None:
    assert context.seed() > 1
    own = context.processes.get(ProcessKey(os.getpid(), 0))
    assert own is not None
    assert own.image.exe == os.path.realpath(sys.executable)


def test_program_that_ran_before_the_agent_is_hashed_when_asked_for(context: Context) -> None:
    context.seed()
    own = context.processes.get(ProcessKey(os.getpid(), 0))
    assert own is not None
    facts = context.facts(own)
    assert facts is not None
    assert facts.sha256 == hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest()
    assert context.facts(own) is facts


def test_program_that_was_changed_meanwhile_is_not_hashed(context: Context) -> None:
    context.seed()
    own = context.processes.get(ProcessKey(os.getpid(), 0))
    assert own is not None
    own.image.exe = "/another/program"
    assert context.facts(own) is None


def test_program_of_a_process_that_is_gone_is_hashed_by_its_path(
    context: Context, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!")
    process = context.started(
        Exec(
            time.time_ns(),
            GONE,
            ProcessKey(os.getpid(), 0),
            [b"program", b"-x"],
            exe=os.fsencode(program),
            inode=identity_of(program.stat()),
        )
    )
    facts = context.facts(process)
    assert facts is not None
    assert facts.md5 == hashlib.md5(b"#!").hexdigest()
    assert process.image.command_line == "program -x"


def test_deleted_program_is_hashed_while_it_runs(context: Context, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o700)
    identity = identity_of(program.stat())
    with subprocess.Popen([program, "30"]) as child:
        try:
            program.unlink()
            live = proc.live_process(child.pid)
            assert live is not None
            inode = identity._replace(ctime_ns=Path(f"/proc/{child.pid}/exe").stat().st_ctime_ns)
            record = Exec(0, live.key, live.parent, [b"x"], exe=live.exe, inode=inode, deleted=True)
            facts = context.facts(context.started(record))
        finally:
            child.kill()
    assert facts is not None
    assert facts.sha256 == hashlib.sha256(Path("/bin/sleep").read_bytes()).hexdigest()


def test_deleted_program_is_never_taken_for_a_later_file_of_its_name(
    context: Context, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"another one")
    record = Exec(0, GONE, ProcessKey(0, 0), [b"x"], exe=os.fsencode(program), deleted=True)
    assert context.facts(context.started(record)) is None


def test_program_whose_file_was_not_seen_is_hashed_by_its_path(
    context: Context, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!")
    record = Exec(0, GONE, ProcessKey(0, 0), [b"x"], exe=os.fsencode(program))
    facts = context.facts(context.started(record))
    assert facts is not None
    assert facts.md5 == hashlib.md5(b"#!").hexdigest()


def test_common_fields_are_the_callers_own_copy(context: Context) -> None:
    context.common()["HostName"] = "changed"
    common = context.common()
    assert common["HostName"] == "host-1"
    assert common["HostIp"] == "127.0.0.1"
    assert common["AgentVersion"] == "1.2.3"


def test_bytes_that_are_no_text_stay_visible() -> None:
    assert text(b"caf\xc3\xa9\xff") == "café\\xff"


def test_a_child_in_the_same_place_is_in_the_same_container(context: Context) -> None:
    parent = Process(ProcessKey(4_100_000, TICK), container_id="ab" * 32, mount_ns=77)
    context.processes.put(parent)
    own = ProcessKey(os.getpid(), TICK)  # which /proc would say is in none
    inside = context.started(Exec(NOW, own, parent.key, [b"x"], exe=b"/x", mount_ns=77))
    assert inside.container_id == "ab" * 32
    outside = context.started(Exec(NOW, own, parent.key, [b"x"], exe=b"/x", mount_ns=78))
    assert outside.container_id == ""
    gone = ProcessKey(4_100_001, TICK)
    assert context.started(Exec(NOW, gone, parent.key, [b"x"], mount_ns=78)).container_id


def test_a_copy_is_as_its_parent_was_when_it_was_made(context: Context) -> None:
    parent, child = ProcessKey(4_100_000, TICK), ProcessKey(4_100_001, TICK)
    context.started(Exec(NOW, parent, UNKNOWN_PROCESS, [b"one"], exe=b"/bin/one"))
    context.expected(Fork(NOW, child, parent, uid=7))
    context.started(Exec(NOW, parent, UNKNOWN_PROCESS, [b"two"], exe=b"/bin/two"))
    found = context.processes.get(child)
    assert found is not None
    assert (found.image.exe, found.uid, found.parent) == ("/bin/one", 7, parent)


def test_the_mount_namespace_of_a_running_process_is_known(context: Context) -> None:
    live = live_process(os.getpid())
    assert live is not None
    found = context.processes.find(live.key)
    assert found is not None
    assert found.mount_ns == int(Path("/proc/self/ns/mnt").readlink().name[5:-1])
