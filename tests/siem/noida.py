"""One program that speaks the protocols of Kafka and of Elasticsearch, and keeps what it was given.

Each of the two is one service of it, checked by its authors against the real ones.
"""

from __future__ import annotations

import socket
import subprocess
import time
from importlib import resources
from pathlib import Path


def program() -> Path:
    """The binary, from the package that carries it."""
    return Path(str(resources.files("noida_db") / "noida-db"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Noida:
    """One service as a process; started again it still has what was in it."""

    def __init__(self, folder: Path, service: str) -> None:
        self.folder = folder
        self.service = service
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Noida:
        self.log = (self.folder / f"{self.service}.log").open("ab")
        port = f"--{self.service}-port"
        words = ["--only", self.service, port, str(self.port), "--data-dir", str(self.folder)]
        program().chmod(0o755)
        self.process = subprocess.Popen(
            [program(), "start", *words], stdout=self.log, stderr=self.log, cwd=self.folder
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            told = (self.folder / f"{self.service}.log").read_text()
            assert self.process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.log.close()
