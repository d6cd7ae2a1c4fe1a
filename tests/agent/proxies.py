"""Real proxies for tests: tinyproxy and squid as Debian packages them, on free ports."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningProxy:
    """One proxy process; `start` and `stop` any number of times."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, "the proxy does not listen"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def tunnels(self) -> int:
        """Return how many connections to servers it has made, by its log."""
        return self.log.read_text(errors="replace").count("Established connection to host")


def tinyproxy(folder: Path, *, credentials: bool = False) -> RunningProxy:
    """Return a proxy that is not started yet; skips where the package is not installed."""
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.skip("needs the Debian package tinyproxy")
    port, log = free_port(), folder / f"tinyproxy-{credentials}.log"
    log.touch()
    settings = [
        f"Port {port}",
        "Listen 127.0.0.1",
        "Timeout 60",
        "MaxClients 20",
        "Allow 127.0.0.1",
        f'LogFile "{log}"',
        "LogLevel Connect",
    ]
    # tinyproxy's file knows no quoting, so that its password is a plain word.
    settings += ["BasicAuth agent plainword"] if credentials else []
    file = folder / f"tinyproxy-{credentials}.conf"
    file.write_text("\n".join(settings) + "\n")
    return RunningProxy([program, "-d", "-c", str(file)], port, log)
