"""Debian machines in a container, which shares the host's kernel and network."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deodar.demo.stack import attempts

BOOT_SECONDS = 60
_UP = ("running", "degraded")


@dataclass
class Machine:
    """A root folder that can be booted; it shares the host's kernel and network.

    `binds` are folders of the host that it sees read-only, each as HOST:INSIDE.
    """

    folder: Path
    binds: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Boot; returns when every unit that is wanted at boot has started or failed."""
        words = ("--register=no", "--keep-unit", "--capability=all", "--console=pipe")
        words += tuple(f"--bind-ro={bind}" for bind in self.binds)
        words += ("--system-call-filter=bpf perf_event_open", "-b")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "-D", str(self.folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in attempts(BOOT_SECONDS):
            with suppress(subprocess.SubprocessError, IndexError, OSError):
                if self.run("systemctl", "is-system-running", check=False) in _UP:
                    return
        raise TimeoutError(f"{self.folder} did not boot within {BOOT_SECONDS} s")

    def stop(self) -> None:
        """Shut down; by force when that takes over twenty seconds."""
        if self.process is None:
            return
        with suppress(subprocess.SubprocessError, IndexError, OSError):
            self.run("systemctl", "poweroff", "--no-block", check=False)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(10)
        self.process = None

    def run(self, *words: object, check: bool = True, limit: float = 60) -> str:
        """Run a command in the machine; returns what it wrote, without the last line end."""
        inside = ("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-C", "env", "-i")
        surroundings = ("PATH=/usr/sbin:/usr/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive")
        ran = subprocess.run(
            [*inside, *surroundings, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
        )
        assert not check or ran.returncode == 0, f"{words}: {ran.stdout}"
        return ran.stdout.strip()

    @property
    def leader(self) -> int:
        """The host's process id of the machine's first process."""
        assert self.process is not None
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def host_pid(self, inner: int) -> int:
        """The host's process id of one of the machine's processes."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                pids = re.search(r"^NSpid:\s+(\d+)\s+(\d+)$", status.read_text(), re.MULTILINE)
                if pids and int(pids[2]) == inner and self._has(int(pids[1])):
                    return int(pids[1])
        raise LookupError(f"no process {inner} in the machine")

    def _has(self, pid: int) -> bool:
        mine, other = (Path(f"/proc/{number}/ns/pid") for number in (self.leader, pid))
        return mine.readlink() == other.readlink()

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Every path on the disk, with mode, owner and group."""
        found = {}
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                facts = path.lstat()
                name = str(path.relative_to(self.folder))
                found[name] = (facts.st_mode, facts.st_uid, facts.st_gid)
        return found

    def wait_for(self, condition, limit: float = 30) -> None:
        """Wait until the condition, a function, is true; fails after `limit` seconds."""
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)
