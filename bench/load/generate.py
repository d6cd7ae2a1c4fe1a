"""Loads at a steady rate: programs started, files written, connections made.

``python -m bench.load.generate KIND RATE SECONDS MARK`` prints what it did and the processor time
that it took, as one JSON object. What a sensor takes in the kernel for each event is in there: the
kernel accounts it to whoever caused the event.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.agent_cost import tiny_program

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 0.005
"""Seconds between two looks at the clock: what is due by then is done in a row."""


def exec_load(ends: ExitStack, mark: str) -> Callable[[int], None]:
    """Start a program of three instructions, with a mark and a number as arguments."""
    folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
    program = folder / "tiny"
    program.write_bytes(tiny_program())
    program.chmod(0o755)

    def one(number: int) -> None:
        os.waitpid(os.posix_spawn(program, ["tiny", mark, str(number)], {}), 0)

    return one


def file_load(ends: ExitStack, mark: str) -> Callable[[int], None]:
    """Create a file, write to it, close it, delete it."""
    folder = ends.enter_context(tempfile.TemporaryDirectory(prefix=mark))

    def one(number: int) -> None:
        path = f"{folder}/{number}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, b"x")
        os.close(descriptor)
        os.unlink(path)  # noqa: PTH108 - the load is the system call

    return one


def connect_load(ends: ExitStack, _mark: str) -> Callable[[int], None]:
    """Make a TCP connection over loopback and close it."""
    server = ends.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
    address = server.getsockname()

    def one(_number: int) -> None:
        with socket.create_connection(address), server.accept()[0]:
            pass

    return one


LOADS: dict[str, Callable[[ExitStack, str], Callable[[int], None]]] = {
    "exec": exec_load,
    "file": file_load,
    "connect": connect_load,
}


def run(kind: str, rate: float, seconds: float, mark: str) -> dict[str, float]:
    """Do it; returns how many were done, in which time, with how much processor time in seconds."""
    with ExitStack() as ends:
        one = LOADS[kind](ends, mark)
        used, began, done = processor(), time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            for number in range(done, int(rate * passed)):
                one(number)
                done = number + 1
            time.sleep(STEP)
        passed = time.monotonic() - began
        return {"done": done, "seconds": passed, "cpu": processor() - used}


def processor() -> float:
    """Return the processor time of this process and of the children that have ended, in seconds."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Run what the command line says."""
    kind, rate, seconds, mark = sys.argv[1:5]
    sys.stdout.write(json.dumps(run(kind, float(rate), float(seconds), mark)) + "\n")


if __name__ == "__main__":
    main()
