"""Programs started as child processes and watched until they say that they are ready.

Every Deodar program that keeps running prints one JSON object in a line on standard output when it
can be used: ``{"ready": true, "pid": …, …}``. The demonstration, the tests of whole ways and the
benchmarks start their parts with this. A child ends when its parent does, even by SIGKILL.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, cast

from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 0.02


class ChildError(DeodarError):
    """A child process ended or did not become ready in time; the text ends with its last words."""


class Child:
    """One program, its standard output and error in files beside each other in `logs`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        logs: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is added to this process's own."""
        self.name = name
        self._command = list(command)
        self._output = logs / f"{name}.out"
        self._log = logs / f"{name}.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; raises ChildError before `start`."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Child:
        """Start the process and return this child; its log is appended to."""
        with self._output.open("wb") as output, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=self._environment,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  # one prctl call, no lock is taken
            )
        return self

    def ready(self, limit: float = 30.0) -> dict[str, Any]:
        """Wait for the child's ready line and return it.

        Raises ChildError when the child ends first or `limit` seconds pass.
        """
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            line = self._first_line()
            if line is not None:
                return line
            if not self.alive:
                raise ChildError(
                    f"{self.name} ended with {self._running().returncode}: {self.last_words()}"
                )
            time.sleep(_LOOK_EVERY)
        raise ChildError(f"{self.name} was not ready in {limit:g} s: {self.last_words()}")

    def stop(self, limit: float = 15.0) -> int:
        """Ask the child to end, force it after `limit` seconds; returns its exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End the child with SIGKILL and return its exit code."""
        process = self._running()
        process.kill()
        return process.wait(60)  # the kernel takes its time to remove an agent's probes

    def wait(self, limit: float) -> int:
        """Wait until the child ends by itself; returns its exit code, raises ChildError."""
        try:
            return self._running().wait(limit)
        except subprocess.TimeoutExpired as error:
            raise ChildError(f"{self.name} still runs after {limit:g} s") from error

    def last_words(self, lines: int = 5) -> str:
        """Return the end of the child's log, and where the whole log is."""
        text = self._log.read_text("utf-8", "replace").strip().splitlines()
        return " | ".join(text[-lines:]) + f" (log: {self._log})"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ChildError(f"{self.name} was not started")
        return self._process

    def _first_line(self) -> dict[str, Any] | None:
        head, separator, _ = self._output.read_bytes().partition(b"\n")
        if not separator:
            return None
        try:
            return cast("dict[str, Any]", json.loads(head))
        except ValueError as error:
            raise ChildError(f"{self.name} printed no ready line but: {head[:200]!r}") from error


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
