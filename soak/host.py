"""The agent's host as far as the soak breaks it: its disk, its clock, its process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.settings import AgentSettings
from deodar.demo.stack import DEODAR, deodar
from deodar.kit import settings as toml
from deodar.kit.children import Child

if TYPE_CHECKING:
    from collections.abc import Iterator

DISK_MB = 64
SPOOL_MB = 32
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


def own_mounts(arguments: list[str]) -> None:
    """Run this program again where its mounts are its own, unless that is so already."""
    if os.environ.get("SOAK_MOUNTS") == str(os.getppid()):
        return
    environment = {**os.environ, "SOAK_MOUNTS": str(os.getpid())}
    command = ["unshare", "--mount", "--propagation", "private", "--fork", "--kill-child"]
    command += [sys.executable, "-m", "soak", *arguments]
    # With --fork the program's parent is unshare, which has this process's place after the exec.
    os.execvpe(command[0], command, environment)  # noqa: S606


class AgentHost:
    """One agent in a folder on a small disk of its own, by a clock of its own."""

    def __init__(self, folder: Path, edr: Path, port: int) -> None:
        """Enrol an agent at the EDR server in `edr`; it will reach it on `port`."""
        self.folder = folder / "agent"
        self._clock = folder / "clock"
        self._filler = self.folder / "filler"
        self._logs = folder / "logs"
        self.folder.mkdir()
        self._mount()
        self.step_clock(0)
        token = json.loads(deodar("edr", "enroll", "--json", "--dir", edr))["token"]
        deodar("agent", "enroll", token, "--dir", self.folder)
        self._limit_spool()
        here = ("--dir", self.folder)
        deodar("agent", "task", "settings", "set", "KATAEDR", *_connection(port), *here)
        words = [*DEODAR, "agent", "run", *map(str, here)]
        self.child = Child("agent", words, self._logs, self._faked())
        self.up_since = 0.0

    @property
    def pid(self) -> int | None:
        """The running agent's process; None when it does not run."""
        return self.child.pid if self.child.alive else None

    def start(self) -> None:
        """Start the agent and wait until it watches."""
        self.child.start().ready(60)
        self.up_since = time.monotonic()

    def status(self) -> dict[str, Any]:
        """Return what ``deodar agent status --json`` prints."""
        with contextlib.suppress(Exception):
            found: dict[str, Any] = json.loads(
                deodar("agent", "status", "--json", "--dir", self.folder)
            )
            return found
        return {}

    def fill_disk(self) -> None:
        """Leave no room on the agent's disk."""
        free = shutil.disk_usage(self.folder).free
        with contextlib.suppress(OSError):
            self._filler.write_bytes(bytes(free + (1 << 20)))

    def free_disk(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    def step_clock(self, seconds: int) -> None:
        """Set the agent's clock this far from the real one, at once."""
        aside = self._clock.with_suffix(".new")
        aside.write_text(f"{seconds:+d}s\n")
        aside.replace(self._clock)

    def close(self) -> None:
        """End the agent and take its disk away."""
        if self.child.alive:
            self.child.stop()
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def _mount(self) -> None:
        options = f"size={DISK_MB}m,mode=0700"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "soak", str(self.folder)], check=True
        )

    def _limit_spool(self) -> None:
        file = self.folder / "agent.toml"
        settings = toml.load(file, AgentSettings)
        spool = msgspec.structs.replace(settings.spool, maximum_bytes=SPOOL_MB << 20)
        file.write_text(toml.dump(msgspec.structs.replace(settings, spool=spool)))

    def _faked(self) -> dict[str, str]:
        if not Path(FAKETIME).exists():
            raise SystemExit("libfaketime is missing; as root: apt-get install libfaketime")
        return {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }


def _connection(port: int) -> Iterator[str]:
    yield f"Endpoints.item_0000.Port={port}"
    yield "MaximumDataTransferTime=2"
    yield "RequestTimeout=5"
    yield "ConnectionTimeout=3"
    yield "SynchronizationPeriod=1"
