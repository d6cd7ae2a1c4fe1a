from __future__ import annotations

import hashlib
import os
import pty
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.gather.console import MINUTE_BYTES, MOST, PATIENCE, PIPE_PATIENCE, Consoles
from deodar.agent.gather.line_editor import LINE_BYTES
from deodar.agent.gather.scripts import CONTENT_BYTES
from deodar.agent.sensors.acts import ConsoleInput, ConsoleLine, ScriptRun
from deodar.agent.sensors.base import Exec, Exit, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

KEY, OTHER, PARENT = ProcessKey(4_000_001, 9), ProcessKey(4_000_002, 9), ProcessKey(1, 1)


def typed(data: bytes, **changes: Any) -> ConsoleInput:
    values = {"source": "tty", "name": "pts/9", "key": KEY} | changes
    return ConsoleInput(5, data=data, **values)


def piped(data: bytes, **changes: Any) -> ConsoleInput:
    return typed(data, **{"source": "pipe", "name": ""} | changes)


def started(*argv: str, exe: bytes = b"/usr/bin/dash") -> Exec:
    return Exec(4, KEY, PARENT, [word.encode() for word in argv], exe=exe)


@pytest.fixture
def consoles(context: Context) -> Consoles:
    return Consoles(context)


def test_keys_become_a_line_at_enter(consoles: Consoles) -> None:
    for key in b"ix\x7fd":
        assert list(consoles.take(typed(bytes((key,))))) == []
    assert consoles.waiting == 1
    assert list(consoles.take(typed(b"\r"))) == [ConsoleLine(5, KEY, "tty", "pts/9", b"id")]
    assert consoles.waiting == 0


def test_processes_and_terminals_do_not_mix(consoles: Consoles) -> None:
    consoles.take(typed(b"a"))
    consoles.take(typed(b"b", key=OTHER))
    consoles.take(typed(b"c", name="tty1"))
    assert [line.text for line in consoles.take(typed(b"\r"))] == [b"a"]  # type: ignore[union-attr]
    assert consoles.waiting == 2


def test_what_was_begun_is_told_when_the_process_ends(consoles: Consoles) -> None:
    consoles.take(typed(b"id"))
    assert list(consoles.see(Exit(6, OTHER))) == []
    assert list(consoles.see(Exit(6, KEY))) == [ConsoleLine(5, KEY, "tty", "pts/9", b"id")]
    assert consoles.waiting == 0


def test_what_nobody_enters_is_told_in_the_end(consoles: Consoles) -> None:
    consoles.take(typed(b"id"))
    now = time.monotonic()
    assert list(consoles.due(now + 1)) == []
    assert list(consoles.due(now + PATIENCE + 1)) == [ConsoleLine(5, KEY, "tty", "pts/9", b"id")]
    consoles.take(typed(b"id"))
    assert len(consoles.due(0.0, last=True)) == 1


def test_programs_that_hide_passwords_are_not_told(consoles: Consoles) -> None:
    process = consoles._context.started(started("sudo", "id", exe=b"/usr/bin/sudo"))
    assert process.image.exe == "/usr/bin/sudo"
    assert list(consoles.take(typed(b"secret\r"))) == []
    assert consoles.waiting == 0
    (line,) = consoles.take(typed(b"n\n", cooked=True))  # not a password: the terminal shows it
    assert isinstance(line, ConsoleLine)


def test_more_than_the_minutes_share_is_counted_and_told(consoles: Consoles) -> None:
    line = b"x" * 999 + b"\n"
    lines = [one for _ in range(100) for one in consoles.take(typed(line, cooked=True))]
    assert len(lines) == MINUTE_BYTES // 1000
    rest = consoles.see(Exit(6, KEY))
    told = sum(len(one.text) + 1 for one in lines if isinstance(one, ConsoleLine))
    dropped = sum(one.dropped for one in rest if isinstance(one, ConsoleLine))
    begun = sum(len(one.text) for one in rest if isinstance(one, ConsoleLine))
    assert told + begun + dropped == 100_000


def test_a_script_by_a_pipe_is_input_and_script(consoles: Consoles) -> None:
    consoles.see(started("sh"))
    assert list(consoles.take(piped(b"echo a\n"))) == []
    assert list(consoles.take(piped(b"echo b\n"))) == []
    line, script = consoles.take(piped(b"", end=True))
    whole = b"echo a\necho b\n"
    assert line == ConsoleLine(5, KEY, "pipe", "", whole)
    digest, md5 = hashlib.sha256(whole).hexdigest(), hashlib.md5(whole).hexdigest()
    assert script == ScriptRun(5, KEY, b"", whole, len(whole), None, digest, md5)


def test_of_a_long_script_the_beginning_and_the_size_are_told(consoles: Consoles) -> None:
    consoles.see(started("sh", "-s"))
    for _ in range(5):
        consoles.take(piped(b"x" * 4096))
    line, script = consoles.take(piped(b"", end=True, untold=1_000_000))
    assert isinstance(line, ConsoleLine)
    assert isinstance(script, ScriptRun)
    whole = 5 * 4096 + 1_000_000
    assert (len(line.text), line.truncated, line.dropped) == (LINE_BYTES, True, whole - LINE_BYTES)
    assert (len(script.content), script.size, script.sha256) == (CONTENT_BYTES, whole, "")


def test_a_pipe_that_stays_open_is_told_after_a_while(consoles: Consoles) -> None:
    consoles.see(started("sh"))
    consoles.take(piped(b"sleep 999\n"))
    now = time.monotonic()
    assert list(consoles.due(now + 1)) == []
    assert len(consoles.due(now + PIPE_PATIENCE + 1)) == 2
    assert list(consoles.take(piped(b"", end=True))) == []


def test_what_a_script_reads_is_data(consoles: Consoles) -> None:
    for argv in (("sh", "x.sh"), ("sh", "-c", "read x")):
        consoles.see(started(*argv))
        assert list(consoles.take(piped(b"data\n"))) == []
        assert list(consoles.take(piped(b"", end=True))) == []
    assert consoles.waiting == 0


def test_a_shell_at_a_socket_is_told_line_by_line(consoles: Consoles) -> None:
    consoles.see(started("sh", "-i"))
    socket: dict[str, Any] = {"source": "socket", "name": ""}
    assert list(consoles.take(typed(b"id\nls", **socket))) == [
        ConsoleLine(5, KEY, "socket", "", b"id")
    ]
    assert list(consoles.take(typed(b"", end=True, **socket))) == [
        ConsoleLine(5, KEY, "socket", "", b"ls")
    ]


def test_too_many_are_told_early(consoles: Consoles) -> None:
    given = []
    for pid in range(MOST + 2):
        given += consoles.take(typed(b"a", key=ProcessKey(4_000_000 + pid, 9)))
    assert [one.key.pid for one in given if isinstance(one, ConsoleLine)] == [4_000_000, 4_000_001]
    assert consoles.waiting == MOST


def at_terminal(command: list[str], *exchanges: tuple[bytes, bytes]) -> int:
    """Run a program at a terminal; each exchange is a text to wait for, and what to type then."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "$ "
        os.execvp(command[0], command)
    for awaited, keys in exchanges:
        seen, deadline = b"", time.monotonic() + 60
        while awaited not in seen or not _waits(pid):  # keys that come too early are lost on some
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 0.2)[0]:
                seen += os.read(terminal, 4096)
        os.write(terminal, keys)
    with suppress(OSError):
        while os.read(terminal, 4096):
            pass
    os.close(terminal)
    os.waitpid(pid, 0)
    return pid


def _waits(pid: int) -> bool:
    """Whether a process sleeps: a shell that has written its prompt, until it gets something."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


INPUT = "process_console_interactive_input"


def lines(telling: Any, pid: int, wanted: int) -> list[str]:
    found = telling.events(INPUT, lambda event: event["SystemPid"] == pid, wanted)
    return [event["InteractiveInputText"] for event in found]


@pytest.mark.root
@pytest.mark.parametrize("shell", [["bash", "--norc", "-i"], ["dash", "-i"]], ids=["bash", "dash"])
def test_what_is_really_typed(telling: Any, mark: str, shell: list[str]) -> None:
    typed = f"echo {mark}bad\x7f\x7f\x7f\r".encode()
    pid = at_terminal(shell, (b"$ ", typed), (f"{mark}\r\n".encode(), b"exit\r"))
    assert lines(telling, pid, 2) == [f"echo {mark}", "exit"]
    event = telling.so_far(INPUT)[-1]
    assert event["InputType"] == "console"
    assert event["Tty"].startswith("pts/")


@pytest.mark.root
def test_a_real_interrupt_gives_up_the_line(telling: Any, mark: str) -> None:
    shell = ["dash", "-i"]
    keys = (b"$ ", f"never-{mark}\x03".encode()), (b"$ ", f"echo {mark}\r".encode())
    pid = at_terminal(shell, *keys, (f"{mark}\r\n".encode(), b"exit\r"))
    assert lines(telling, pid, 2) == [f"echo {mark}", "exit"]


@pytest.mark.root
def test_a_real_password_is_not_told(telling: Any, mark: str) -> None:
    code = "import getpass; getpass.getpass('secret: '); input('name: ')"
    hidden, shown = f"hidden-{mark}\r".encode(), f"shown-{mark}\r".encode()
    at_terminal([sys.executable, "-c", code], (b"secret: ", hidden), (b"name: ", shown))
    shown_text = f"shown-{mark}"
    telling.event(INPUT, lambda event: event["InteractiveInputText"] == shown_text)
    assert f"hidden-{mark}" not in str(telling.so_far(INPUT))
