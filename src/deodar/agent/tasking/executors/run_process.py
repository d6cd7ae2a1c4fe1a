"""Runs a program: without a shell, with limits on time and output, outside the agent's ceilings.

Where systemd runs the agent, its service has little memory and fewer rights than root; the program
gets a transient unit of its own, which knows neither. Elsewhere it is a child in its own session.
What it prints beyond the limit is read and thrown away, so that it never waits for the agent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.tasking.executors.base import TaskFailed, now_us
from deodar.response.kinds import Parameters, RunProcess
from deodar.response.wire import Result

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from deodar.agent.tasking.executors.base import Context

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOOK_EVERY = 0.1
LAST_OUTPUT = 0.5
"""Seconds that output is waited for after the program has ended: a child may hold the pipe."""
LARGEST_HASHED = 256 << 20
_BOOTED_BY_SYSTEMD = Path("/run/systemd/system")
_BLOCK = 65_536


def execute(parameters: Parameters, context: Context) -> Result:
    """Run the program of a task and return how it ended."""
    if not isinstance(parameters, RunProcess):
        raise TaskFailed("these are no parameters of run_process")
    program = find(parameters.command)
    words = [program, *parameters.words()]
    unit = f"deodar-task-{context.task_id}"
    own = own_unit()
    command = in_own_unit(words, unit, parameters) if own else words
    began = now_us()
    process = _start(command, None if own else parameters.working_directory or "/")

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if own:
            stop = ["systemctl", "kill", "--signal=SIGKILL", f"{unit}.service"]
            subprocess.run(stop, check=False, capture_output=True, timeout=10)

    with process:
        gathered = _gather(process, parameters, context.stop, end)
    return Result(
        state="failed" if gathered.problem else "done",
        reason=gathered.problem,
        started_us=began,
        ended_us=now_us(),
        pid=0 if own else process.pid,
        exit_code=process.returncode,
        output=gathered.output.decode("utf-8", "replace"),
        errors=gathered.errors.decode("utf-8", "replace"),
        cut=gathered.cut,
        sha256=_sha256(program),
    )


def find(command: str) -> str:
    """Return the path of a program; raises TaskFailed."""
    if "/" in command:
        candidates = [command]
    else:
        candidates = [f"{folder}/{command}" for folder in SEARCHED.split(":")]
    for path in candidates:
        if path.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113
            return path
    raise TaskFailed(f"{command}: there is no such program that can be run")


def own_unit() -> bool:
    """Whether the agent is a service of systemd, so that programs have to leave its unit."""
    return "INVOCATION_ID" in os.environ and _BOOTED_BY_SYSTEMD.is_dir()


def in_own_unit(words: list[str], unit: str, parameters: RunProcess) -> list[str]:
    """Return the command that runs `words` in a transient unit and passes its output on."""
    return [
        "systemd-run",
        *("--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", f"--unit={unit}"),
        f"--property=RuntimeMaxSec={parameters.time_limit}",
        f"--working-directory={parameters.working_directory or '/'}",
        f"--setenv=PATH={SEARCHED}",
        "--",
        *words,
    ]


def _start(command: list[str], folder: str | None) -> subprocess.Popen[bytes]:
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a program begins with none blocked
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={"PATH": SEARCHED, "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    except OSError as error:
        raise TaskFailed(f"{command[0]}: {error.strerror or error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class _Gathered(NamedTuple):
    output: bytes
    errors: bytes
    cut: bool
    problem: str


def _gather(
    process: subprocess.Popen[bytes],
    parameters: RunProcess,
    stop: threading.Event,
    end: Callable[[], None],
) -> _Gathered:
    """Read what a program prints until it has ended, or has to be ended."""
    deadline = time.monotonic() + parameters.time_limit
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    problem, cut = "", False
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
        last = None
        while selector.get_map():
            for key, _ in selector.select(LOOK_EVERY):
                data = os.read(key.fd, _BLOCK)
                if not data:
                    selector.unregister(key.fileobj)
                buffer = kept[key.fileobj]  # type: ignore[index]
                room = parameters.output_limit - len(buffer)
                buffer += data[:room]
                cut = cut or len(data) > room
            now = time.monotonic()
            problem = problem or _problem(parameters, stop, now > deadline)
            if problem and last is None:
                end()
            if last is None and process.poll() is not None:
                last = now + LAST_OUTPUT
            if last is not None and now > last:
                break
    if not problem and not _ended(process, stop, deadline):
        problem = _problem(parameters, stop, late=True)
        end()
    process.wait()
    return _Gathered(bytes(kept[process.stdout]), bytes(kept[process.stderr]), cut, problem)


def _ended(process: subprocess.Popen[bytes], stop: threading.Event, deadline: float) -> bool:
    """Wait for a program that has closed its output; return whether it ended in its time."""
    while process.poll() is None:
        if stop.wait(LOOK_EVERY) or time.monotonic() > deadline:
            return False
    return True


def _problem(parameters: RunProcess, stop: threading.Event, late: bool) -> str:
    if stop.is_set():
        return "the agent was stopped, and the program with it"
    return f"it ran longer than {parameters.time_limit} s and was killed" if late else ""


def _sha256(program: str) -> str:
    """Return the hash of the program's file, "" when it cannot be read or is too large."""
    digest = hashlib.sha256()
    try:
        with open(program, "rb") as opened:  # noqa: PTH123
            if os.fstat(opened.fileno()).st_size > LARGEST_HASHED:
                return ""
            while block := opened.read(_BLOCK):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
