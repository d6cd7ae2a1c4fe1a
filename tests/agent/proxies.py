"""Real proxies for tests: tinyproxy and squid as Debian packages them, on free ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest


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
    made: str = "Established connection to host"
    """What its log says of a connection to a server."""
    shared: str = ""
    """What the names of its shared memory begin with, which a killed one leaves behind."""
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
        if self.shared:
            for left in Path("/dev/shm").glob(f"{self.shared}-*"):
                left.unlink(missing_ok=True)

    def tunnels(self) -> int:
        """Return how many connections to servers it has made, by its log."""
        return self.log.read_text(errors="replace").count(self.made)


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


SQUID_HELPER = Path("/usr/lib/squid/basic_ncsa_auth")


def squid(folder: Path, *, user: str, password: str) -> RunningProxy:
    """Return a proxy that asks for a password and is not started yet; skips where it is missing.

    It gives up root's rights, so that the folder and those above must be open to everyone.
    """
    program, openssl = shutil.which("squid", path=f"{os.environ['PATH']}:/usr/sbin"), "openssl"
    if program is None or not SQUID_HELPER.exists() or shutil.which(openssl) is None:
        pytest.skip("needs the Debian packages squid and openssl")
    port, log = free_port(), folder / "access.log"
    command = [openssl, "passwd", "-apr1", "-stdin"]
    hashed = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    (folder / "users").write_text(f"{user}:{hashed.stdout.strip()}\n")
    file = folder / "squid.conf"
    file.write_text(
        f"""http_port 127.0.0.1:{port}
auth_param basic program {SQUID_HELPER} {folder / "users"}
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
access_log stdio:{log}
cache_log {folder / "cache.log"}
pid_filename {folder / "squid.pid"}
memory_cache_shared off
cache deny all
"""
    )
    name = f"deodar{port}"  # of its shared memory, in which several would get into each other's way
    words = [program, "-N", "-n", name, "-f", str(file)]
    return RunningProxy(words, port, log, made="TCP_TUNNEL/200", shared=name)
