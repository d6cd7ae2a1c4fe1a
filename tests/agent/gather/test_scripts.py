from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enrich.converters import MODULES
from deodar.agent.enrich.registry import event_of
from deodar.agent.gather.scripts import (
    CONTENT_BYTES,
    HASHED_BYTES,
    PATIENCE,
    THREADS,
    Scripts,
    of_content,
)
from deodar.agent.sensors.acts import ScriptRun
from deodar.agent.sensors.base import Exec, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record

FUSE = Path(__file__).parent.parent / "hashing" / "fuse.py"
GONE = ProcessKey(4_000_001, 9)
OWN = ProcessKey(os.getpid(), 1)


def run(context: Context, *argv: str, cwd: Path = Path("/"), **changes: Any) -> list[Record]:
    record = Exec(5, changes.pop("key", GONE), OWN, [word.encode() for word in argv])
    record.exe, record.cwd = b"/usr/bin/dash", os.fsencode(cwd)
    for name, value in changes.items():
        setattr(record, name, value)
    first, *rest = Scripts(context).take(record)
    assert first is record
    return rest


def test_a_program_that_is_no_interpreter_goes_on_alone(context: Context) -> None:
    assert run(context, "ls", "x.sh", exe=b"/bin/ls") == []


@pytest.mark.parametrize("name", ["x.sh", "./x.sh", ".//x.sh", "absolute"])
def test_a_script_is_read_wherever_it_is(context: Context, tmp_path: Path, name: str) -> None:
    file = tmp_path / "x.sh"
    file.write_bytes(b"echo hello\n" * 9000)
    content = file.read_bytes()
    path = str(file) if name == "absolute" else name
    (script,) = run(context, "sh", path, cwd=tmp_path)
    assert isinstance(script, ScriptRun)
    assert (script.time_ns, script.key, script.path) == (5, GONE, os.fsencode(file))
    assert script.content == content[:CONTENT_BYTES]
    assert script.size == len(content)
    assert MODULES  # which makes the events known
    event = event_of(context, script)
    assert event["InterpretedFileSha256"] == hashlib.sha256(content).hexdigest()
    assert event["InterpretedFileMd5"] == hashlib.md5(content).hexdigest()


def test_a_very_long_script_is_hashed_by_the_hash_process(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_bytes(b"#" * (HASHED_BYTES + 1))
    (script,) = run(context, "sh", "x.sh", cwd=tmp_path)
    assert isinstance(script, ScriptRun)
    assert (script.sha256, script.size, len(script.content)) == (
        "",
        HASHED_BYTES + 1,
        CONTENT_BYTES,
    )
    assert context.hasher.counters().misses == 1


def test_of_a_short_script_the_hashes_are_there_at_once(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_bytes(b"echo hello\n")
    (script,) = run(context, "sh", "x.sh", cwd=tmp_path)
    assert isinstance(script, ScriptRun)
    assert script.sha256 == hashlib.sha256(b"echo hello\n").hexdigest()
    assert script.md5 == hashlib.md5(b"echo hello\n").hexdigest()
    assert context.hasher.counters().misses == 0
    event = event_of(context, script)
    assert event["InterpretedFileSha256"] == script.sha256
    if script.born_ns is not None:  # the file system may not know
        assert event["InterpretedFileCreationTime"] == script.born_ns // 1000


def test_a_script_that_is_gone_is_told_by_its_name(context: Context, tmp_path: Path) -> None:
    (script,) = run(context, "sh", "gone.sh", cwd=tmp_path)
    assert script == ScriptRun(5, GONE, os.fsencode(tmp_path / "gone.sh"))


def test_a_fifo_is_not_waited_for(context: Context, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (script,) = run(context, "sh", "fifo", cwd=tmp_path)
    assert isinstance(script, ScriptRun)
    assert (script.content, script.identity) == (b"", None)


@pytest.mark.root
@pytest.mark.parametrize("name", ["hang-open", "hang-read"])
def test_a_file_system_that_hangs_costs_the_text_and_little_time(
    context: Context, hanging: Path, tmp_path: Path, name: str
) -> None:
    begin = time.monotonic()
    scripts = Scripts(context)
    for _ in range(6):
        record = Exec(5, GONE, OWN, [b"sh", os.fsencode(hanging / name)], exe=b"/usr/bin/dash")
        _, script = scripts.take(record)
        assert isinstance(script, ScriptRun)
        assert script.content == b""
    assert time.monotonic() - begin < THREADS * PATIENCE + 5


def test_code_on_the_command_line_is_a_script_without_a_file(context: Context) -> None:
    (script,) = run(context, "sh", "-c", "echo x")
    assert script == of_content(Exec(5, GONE, OWN, []), b"echo x")
    assert isinstance(script, ScriptRun)
    assert script.sha256 == hashlib.sha256(b"echo x").hexdigest()
    assert script.md5 == hashlib.md5(b"echo x").hexdigest()


def test_what_is_cut_has_no_hashes() -> None:
    script = of_content(Exec(5, GONE, OWN, []), b"echo", 9999)
    assert (script.content, script.size, script.sha256, script.md5) == (b"echo", 9999, "", "")


def test_a_file_at_standard_input_is_a_script(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "x.sh"
    file.write_bytes(b"sleep 60\n")
    with file.open("rb") as stdin:
        shell = subprocess.Popen(["sleep", "60"], stdin=stdin)
    (script,) = run(context, "sh", key=ProcessKey(shell.pid, 1))
    shell.kill()
    shell.wait()
    assert isinstance(script, ScriptRun)
    assert (script.path, script.content) == (os.fsencode(file), b"sleep 60\n")
    assert run(context, "sh", key=GONE) == []


def test_nothing_is_held_back(context: Context) -> None:
    scripts = Scripts(context)
    assert (scripts.waiting, list(scripts.due(9.0, last=True)), list(scripts.see(None))) == (
        0,
        [],
        [],
    )


@pytest.mark.root
@pytest.mark.parametrize(
    ("first", "command"),
    [
        ("#!/bin/sh", []),
        ("#!/usr/bin/env python3", []),
        ("#", ["bash", "-eu"]),
        ("#", [sys.executable, "-u"]),
        ("#", ["perl", "-w"]),
    ],
    ids=["#!", "env", "bash", "python", "perl"],
)
def test_real_scripts(
    telling: Any, mark: str, tmp_path: Path, first: str, command: list[str]
) -> None:
    script = tmp_path / f"{mark}.script"
    script.write_text(f"{first}\n# {mark}\n" + "#\n" * 10_000)
    script.chmod(0o755)
    subprocess.run([*command, script.name], cwd=tmp_path, check=True, env=_path(tmp_path))
    name = "process_interpretated_file_run"
    (event,) = telling.events(name, lambda event: event.get("InterpretedFileName") == script.name)
    content = script.read_bytes()
    assert event["InterpretedFileContent"] == content[:CONTENT_BYTES].decode()
    assert event["InterpretedFileSha256"] == hashlib.sha256(content).hexdigest()
    assert (event["InterpretedFilePath"], event["InterpretedFileSize"]) == (
        str(tmp_path),
        len(content),
    )


def _path(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.root
def test_scripts_without_a_file(telling: Any, mark: str, tmp_path: Path) -> None:
    argument, piped, redirected = (f": {mark} {way}\n" for way in ("argument", "pipe", "file"))
    file = tmp_path / "input"
    file.write_text(redirected)
    subprocess.run(["sh", "-c", argument], check=True)
    subprocess.run(["bash"], input=piped.encode(), check=True)
    with file.open("rb") as stdin:
        shell = subprocess.Popen(["bash"], stdin=stdin)
        assert shell.wait(20) == 0
    for text in (argument, piped):
        event = telling.event(
            "process_interpretated_file_run",
            lambda event, text=text: event.get("InterpretedFileContent") == text,
        )
        assert event["InterpretedFileSha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert "InterpretedFileName" not in event
