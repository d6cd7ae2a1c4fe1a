"""The scanning process as its server sees it: started when needed, ended when it takes too long.

For one thread at a time. The process is told the rules once; it is started again when it has died
or was killed, which is an answer (an error, or a timeout) for the file in question and no more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from deodar.edr.errors import RulesProblem
from deodar.edr.scanning.wire import LARGEST_PACKET, Ask, Reply
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMPILE_TIME = 60.0
"""Seconds that compiling all rules may take."""
GRACE = 5.0
"""Seconds beyond the time of a scan after which the process is killed."""
START_TIME = 20.0
COMMAND = (sys.executable, "-m", "deodar.edr.scanning.worker")

log = logger("edr.scanning")


class Engine:
    """The process, with the rules that it has."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._texts: dict[str, str] | None = None
        self.starts = 0
        """How often the process was started."""

    @property
    def pid(self) -> int | None:
        """The process id, None while none runs."""
        return None if self._process is None else self._process.pid

    def use(self, texts: Mapping[str, str]) -> int:
        """Use these rules from now on, texts by name; returns how many rules they are.

        Raises RulesProblem with the compiler's words.
        """
        self._texts = None
        with _in_memory(msgspec.json.encode(dict(texts))) as descriptor:
            reply = self._ask(Ask("rules"), descriptor, COMPILE_TIME + START_TIME)
        if reply.timed_out:
            raise RulesProblem(f"compiling the rules takes more than {COMPILE_TIME:g} s")
        if reply.error:
            raise RulesProblem(reply.error)
        self._texts = dict(texts)
        return reply.rules

    def scan(self, path: Path, seconds: float) -> Reply:
        """Return what the rules find in a file."""
        texts = self._texts
        if texts is None:
            return Reply(error="there are no rules")
        if self._process is None or self._process.poll() is not None:
            try:
                self.use(texts)
            except RulesProblem as error:
                self._texts = texts
                return Reply(error=str(error)[:500])
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            return Reply(error=f"the file cannot be read: {error.strerror}")
        try:
            return self._ask(Ask("scan", seconds), descriptor, seconds + GRACE)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """End the process."""
        link, self._link = self._link, None
        process, self._process = self._process, None
        if link is not None:
            link.close()
        if process is not None:
            process.kill()
            process.wait()

    def _ask(self, ask: Ask, descriptor: int, seconds: float) -> Reply:
        """Return the process's reply; one that says that it took too long when it is not given."""
        deadline = time.monotonic() + seconds
        try:
            link = self._started()
            link.settimeout(seconds)
            socket.send_fds(link, [msgspec.json.encode(ask)], [descriptor])
            link.settimeout(max(0.01, deadline - time.monotonic()))
            answer = link.recv(LARGEST_PACKET)
            if answer:
                return msgspec.json.decode(answer, type=Reply)
        except TimeoutError:
            log.warning("scanning_killed", after=seconds)
            self.close()
            return Reply(timed_out=True)
        except (OSError, msgspec.DecodeError) as error:
            log.warning("scanning_failed", reason=str(error))
        code = self._process.poll() if self._process is not None else None
        self.close()
        log.warning("scanning_process_ended", code=code)
        return Reply(error="the scanning process ended: perhaps the file needs too much memory")

    def _started(self) -> socket.socket:
        if self._link is not None and self._process is not None and self._process.poll() is None:
            return self._link
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=_environment()
            )
        self._link = ours
        self.starts += 1
        return ours


def check(texts: Mapping[str, str]) -> int:
    """Return how many rules these texts are, by a process of its own; raises RulesProblem."""
    with contextlib.closing(Engine()) as engine:
        return engine.use(texts)


def _environment() -> dict[str, str]:
    kept = ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    """Give the descriptor of a file in memory with these bytes."""
    descriptor = os.memfd_create("rules", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)
