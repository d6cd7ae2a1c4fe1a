"""The hash process as the agent sees it: started on need, asked, killed when it hangs or idles.

It is started with posix_spawn and knows no more of the agent than two sockets. It ends with the
agent, whatever ends the agent: the kernel kills it with its parent, and its sockets end. After a
death it is started again, at once the first time, then with growing pauses.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import socket
import sys
import threading
import time
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.agent.hashing import wire
from deodar.agent.hashing.errors import ProcessDied, ProcessHung, ProcessUnavailable
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.hashing.opener import Opened

CODE = "import sys; sys.path += sys.argv[2:]; from deodar.agent.hashing.worker import main; main()"
START_LIMIT = 20.0
"""Seconds that a start may take, on a host that is very busy."""
DEATH_LIMIT = 1.0
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds between a death and the next start, by the number of deaths in a row."""
HEALTHY = 60.0
"""Seconds after which a process that dies is the first again to do so."""
UNDEAD = 4
"""So many killed processes may hang in the kernel before no other is started."""
_FIRST_FREE = 10

_log = logger("agent.hashing")


class Answer(NamedTuple):
    """What the process found."""

    outcome: int
    """One of those of `wire`."""
    result: bytes


class _Running:
    """One process that was started."""

    def __init__(self, pid: int, sockets: list[socket.socket]) -> None:
        self.pid, self.sockets = pid, sockets
        self._in_use = [threading.Lock() for _ in sockets]
        self.pidfd = os.pidfd_open(pid)
        self.started = time.monotonic()
        self.spent_ns = 0
        """Processor time that was told of so far."""

    @property
    def is_in_use(self) -> bool:
        """Whether it is being asked."""
        return any(lock.locked() for lock in self._in_use)

    def exchange(self, lane: int, opened: Opened, limit: float) -> bytes:
        """Return the answer, b"" when there will be none. Raises TimeoutError."""
        found, sock = opened.found, self.sockets[lane]
        request = wire.REQUEST.pack(found.ino, found.size, found.mtime_ns, found.ctime_ns)
        with self._in_use[lane]:
            try:
                sock.settimeout(limit)
                socket.send_fds(sock, [request], [opened.descriptor])
                return sock.recv(wire.LARGEST)
            except TimeoutError:
                raise
            except OSError:
                return b""

    def kill(self) -> None:
        """End it; waits a moment for its death."""
        with contextlib.suppress(OSError):  # it has ended by itself
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        for sock, in_use in zip(self.sockets, self._in_use, strict=True):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            with in_use:  # the other lane's thread is out of its call now, or soon
                sock.close()
        self.is_dead(DEATH_LIMIT)

    def is_dead(self, wait: float) -> bool:
        """Return whether it has ended, within `wait` seconds."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(wait * 1000))


class HashProcess:
    """Asks the hash process for its threads, one for each lane; there is one process or none."""

    def __init__(self, spend: Callable[[float], None]) -> None:
        """`spend` hears of the processor time that was used, in seconds."""
        self._spend = spend
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._undead: list[_Running] = []
        self._deaths = 0
        self._not_before = 0.0
        self._closed = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id; None when there is none."""
        running = self._running
        return running.pid if running is not None else None

    def ask(self, lane: int, opened: Opened, limit: float) -> Answer:
        """Return what the process finds in an open file. Each lane is asked by one thread.

        Raises ProcessHung after `limit` seconds, ProcessDied when it ended meanwhile (whichever
        lane's file it was), ProcessUnavailable when there is none.
        """
        running = self._ready()
        try:
            data = running.exchange(lane, opened, limit)
        except TimeoutError:
            self._end(running, "it did not answer in time")
            raise ProcessHung(f"the hash process did not answer within {limit:.0f} s") from None
        if not data:
            self._end(running, "it died")
            raise ProcessDied("the hash process ended before it answered")
        outcome, spent_ns = wire.ANSWER.unpack_from(data)
        self._account(running, spent_ns)
        return Answer(outcome, data[wire.ANSWER.size :])

    def rest(self) -> None:
        """End the process if it has nothing to do; the next file starts another one."""
        running = self._running
        if running is not None and not running.is_in_use:
            self._end(running, "")

    def close(self) -> None:
        """End the process; none is started any more."""
        with self._lock:
            self._closed = True
            running = self._running
        if running is not None:
            self._end(running, "")

    def _ready(self) -> _Running:
        with self._lock:
            self._bury()
            if self._running is None:
                self._running = self._start()
            return self._running

    def _start(self) -> _Running:
        if self._closed:
            raise ProcessUnavailable("hashing has been stopped")
        if time.monotonic() < self._not_before:
            raise ProcessUnavailable("the hash process died; it is started again in a while")
        if len(self._undead) >= UNDEAD:
            raise ProcessUnavailable(f"{UNDEAD} killed hash processes hang in the kernel")
        try:
            running = _spawn()
        except OSError as error:
            self._note_death(0.0, f"it could not be started: {error}")
            raise ProcessUnavailable(f"the hash process cannot be started: {error}") from error
        self.starts += 1
        if not _says_hello(running):
            self._kill(running)
            self._note_death(0.0, "it did not come up; its own message is in the log before this")
            raise ProcessUnavailable("the hash process did not come up")
        return running

    def _end(self, running: _Running, reason: str) -> None:
        with self._lock:
            if self._running is not running:
                return
            self._running = None
            if reason:
                self._note_death(time.monotonic() - running.started, reason)
            self._kill(running)

    def _kill(self, running: _Running) -> None:
        running.kill()
        self._undead.append(running)
        self._bury()

    def _note_death(self, lived: float, reason: str) -> None:
        self._deaths = 1 if lived > HEALTHY else self._deaths + 1
        pause = PAUSES[min(self._deaths, len(PAUSES)) - 1]
        self._not_before = time.monotonic() + pause
        _log.warning("the hash process has ended", reason=reason, pause=pause)

    def _bury(self) -> None:
        for running in self._undead[:]:
            try:
                pid, _, usage = os.wait4(running.pid, os.WNOHANG)
            except ChildProcessError:
                pid, usage = running.pid, None
            if pid == 0:
                continue
            self._undead.remove(running)
            os.close(running.pidfd)
            if usage is not None:
                used = usage.ru_utime + usage.ru_stime
                self._spend(max(0.0, used - running.spent_ns / 1e9))

    def _account(self, running: _Running, spent_ns: int) -> None:
        with self._lock:
            more = spent_ns - running.spent_ns
            if more > 0:
                running.spent_ns = spent_ns
        if more > 0:
            self._spend(more / 1e9)


def _spawn() -> _Running:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in wire.LANES]
    # Above the numbers that the process shall find them at: else one would take another's place.
    handed = [fcntl(theirs.fileno(), F_DUPFD_CLOEXEC, _FIRST_FREE) for _, theirs in pairs]
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    actions += [
        (os.POSIX_SPAWN_DUP2, number, wire.FIRST_DESCRIPTOR + lane)
        for lane, number in enumerate(handed)
    ]
    try:
        environment = {"MALLOC_ARENA_MAX": "1", "LC_CTYPE": "C.UTF-8"}
        pid = os.posix_spawn(sys.executable, _command(), environment, file_actions=actions)
    except BaseException:
        for ours, _ in pairs:
            ours.close()
        raise
    finally:
        for number, (_, theirs) in zip(handed, pairs, strict=True):
            os.close(number)
            theirs.close()
    return _Running(pid, [ours for ours, _ in pairs])


def _command() -> list[str]:
    """Return a Python that looks for modules in two places only, and reads no other settings."""
    code = [sys.executable, "-I", "-S", "-B", "-X", "no_debug_ranges", "-c", CODE]
    own = Path(__file__).parents[3]
    library = importlib.util.find_spec("ppdeep")
    if library is None or library.origin is None:
        raise FileNotFoundError("the library ppdeep is not installed; install deodar[agent]")
    return [*code, str(os.getpid()), str(own), str(Path(library.origin).parent)]


def _says_hello(running: _Running) -> bool:
    sock = running.sockets[wire.DIGEST]
    sock.settimeout(START_LIMIT)
    try:
        return sock.recv(wire.LARGEST) == wire.HELLO
    except OSError:
        return False
