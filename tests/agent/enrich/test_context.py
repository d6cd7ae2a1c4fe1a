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
from deodar.agent.sensors.base import Exec, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

GONE = ProcessKey(4_000_000, 10_000_000)


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
