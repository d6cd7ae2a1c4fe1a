"""What watches while a load runs: nothing, Deodar's agent, or Debian's auditd under equal rules.

Each tells the processor time of all its processes and of the kernel threads that work for it, how
many records the kernel could not give it, and how many events of a load it has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.report import cpu_seconds
from bench.stand import Reader, settle, stack
from deodar.demo.stack import attempts, deodar

if TYPE_CHECKING:
    from deodar.demo.stack import Stack

KEY = "bench"
RULES = {
    "exec": [["-S", "execve,execveat"], ["-S", "exit_group"]],
    "file": [
        ["-S", "open,openat,creat", "-F", "a2&0100"],
        ["-S", "unlink,unlinkat,rename,renameat2"],
    ],
    "connect": [["-S", "connect,accept,accept4,listen"]],
}
"""What auditd watches for each load: what Deodar reports of it, when it succeeds."""
AUDITD_CONF = """local_events = yes
write_logs = yes
log_file = {log}
log_format = RAW
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 4000
num_logs = 2
max_log_file_action = ROTATE
space_left = 75
space_left_action = IGNORE
admin_space_left = 50
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
q_depth = 2000
overflow_action = SYSLOG
"""


class Collector(Protocol):
    """One of them, while it runs; `stop` leaves the host as it was."""

    name: str

    def start(self, kind: str) -> None:
        """Begin to watch for a kind of load."""
        ...

    def cpu(self) -> float:
        """Seconds of processor time so far, of everything that belongs to it."""
        ...

    def lost(self) -> int:
        """Records that never came, so far."""
        ...

    def seen(self, mark: str) -> int:
        """Programs with this mark that it has an event of."""
        ...

    def stop(self) -> None:
        """Watch no more."""
        ...


class Nobody:
    """Nothing watches."""

    name = "none"

    def start(self, _kind: str) -> None:
        """Nothing."""

    def cpu(self) -> float:
        """Nothing costs nothing."""
        return 0.0

    def lost(self) -> int:
        """Nothing is lost."""
        return 0

    def seen(self, _mark: str) -> int:
        """Nothing is seen."""
        return 0

    def stop(self) -> None:
        """Nothing."""


class Deodar:
    """The whole agent with its default sensors, sending to a real EDR server on this machine.

    The server's processor time is not counted: it would be another machine's.
    """

    name = "deodar"

    def __init__(self) -> None:
        self._ends = ExitStack()
        self._stack: Stack
        self._url = ""

    def start(self, _kind: str) -> None:
        """Start the server and the agent."""
        self._stack = self._ends.enter_context(stack())
        self._url = self._stack.start_edr()["url"]
        self._stack.start_agent()
        settle(self._stack)

    def cpu(self) -> float:
        """The agent's process and its children."""
        pid = self._stack.children["agent"].pid
        return sum(cpu_seconds(one) for one in (pid, *_children(pid)))

    def lost(self) -> int:
        """Losses as the agent tells them, of all stages."""
        told = json.loads(deodar("agent", "status", "--json", "--dir", self._stack.agent))
        return sum(told["losses_by_stage"].values())

    def seen(self, mark: str) -> int:
        """Events of type process in the server's log, once no more come."""
        wanted = f"EventType == 'process' AND StartupParameters == '*{mark}*'"
        with closing(Reader(self._stack, self._url)) as reader:
            count = len(reader.page(filter=wanted))
            quiet = 0
            for _ in attempts(120, pause=0.5):
                page = reader.page()
                count += len(page)
                quiet = 0 if page else quiet + 1
                if quiet > 6:
                    break
            return count

    def stop(self) -> None:
        """End both."""
        self._ends.close()
        self._ends = ExitStack()


class Auditd:
    """Debian's auditd, writing raw records to a file."""

    name = "auditd"

    def __init__(self) -> None:
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, kind: str) -> None:
        """Start it with its own configuration, and add the rules."""
        self._folder = Path(tempfile.mkdtemp(prefix="deodar-auditd-"))
        log = self._folder / "audit.log"
        (self._folder / "auditd.conf").write_text(AUDITD_CONF.format(log=log))
        (self._folder / "plugins.d").mkdir()
        for file in (self._folder / "auditd.conf", self._folder):
            file.chmod(0o640 if file.is_file() else 0o750)
        program = shutil.which("auditd", path="/usr/sbin:/sbin")
        assert program is not None, "apt-get install auditd"
        self._process = subprocess.Popen([program, "-n", "-c", str(self._folder)])
        for _ in attempts(10):
            if log.exists() and f"pid {self._process.pid}" in _audit("-s"):
                break
        _audit("-b", "65536")
        for words in RULES[kind]:
            _audit("-a", "always,exit", "-F", "arch=b64", *words, "-F", "success=1", "-k", KEY)

    def cpu(self) -> float:
        """Auditd and the kernel's thread that feeds it."""
        assert self._process is not None
        return sum(cpu_seconds(pid) for pid in (self._process.pid, *_named("kauditd")))

    def lost(self) -> int:
        """The kernel's count."""
        words = _audit("-s").split()
        return int(words[words.index("lost") + 1])

    def seen(self, mark: str) -> int:
        """EXECVE records in the log, when the queue has run dry."""
        time.sleep(2)
        log = (self._folder / "audit.log").read_bytes()
        return sum(b"type=EXECVE" in line and mark.encode() in line for line in log.splitlines())

    def stop(self) -> None:
        """Take the rules away and end it."""
        with suppress(subprocess.CalledProcessError):
            _audit("-D", "-k", KEY)
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        _audit("-e", "0")
        shutil.rmtree(self._folder, ignore_errors=True)


def _audit(*words: str) -> str:
    command = ["/usr/sbin/auditctl", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _named(name: str) -> list[int]:
    """Return the kernel's threads of a name."""
    found = []
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            if entry.name.isdigit() and Path(entry.path, "comm").read_text().strip() == name:
                found.append(int(entry.name))
    return found
