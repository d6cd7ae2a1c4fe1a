"""The whole way for the tests of telemetry: one agent, EDR server and SIEM for all of them."""

from __future__ import annotations

import subprocess
import tomllib
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from tests.machines import debian
from tests.packaging.machine import Machine

from deodar.demo.stack import Ports, Stack, attempts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES = ("openssh-server", "sudo", "cron", "libpam-systemd", "sshpass", "openssh-client")
FOUND_WITHIN = 45.0
"""Seconds that an event may take on a busy host, hashes and held-back changes included."""


class Watched:
    """A host that is watched, and the SIEM where its events are found.

    Its accounts, tasks and services are those of `machine`, a whole Debian in a container; None
    where there can be none, for the reason `no_machine`.
    """

    def __init__(self, stack: Stack, machine: Machine | None, no_machine: str) -> None:
        self.stack = stack
        self.machine = machine
        self.no_machine = no_machine

    def rows(
        self, event_type: str, *conditions: str, wanted: int = 1, limit: float = FOUND_WITHIN
    ) -> list[dict[str, Any]]:
        """Return the normalized events of a type, waiting until `wanted` of them are there.

        Conditions are SQL. Raises AssertionError when there are fewer in the end.
        """
        every = " AND ".join([f"DeviceEventCategory = '{event_type}'", *conditions])
        sql = f"SELECT * FROM events WHERE {every} ORDER BY EndTime LIMIT 1000"
        rows: list[dict[str, Any]] = []
        for _ in attempts(limit, pause=0.3):
            rows = self.stack.search(sql)
            if len(rows) >= wanted:
                return rows
        raise AssertionError(f"{len(rows)} of {wanted} events within {limit:g} s: {every}")

    def row(self, event_type: str, *conditions: str) -> dict[str, Any]:
        """Return the first such event."""
        return self.rows(event_type, *conditions)[0]

    def none(self, event_type: str, *conditions: str) -> bool:
        """Return whether there is no such event, once all that happened before has arrived."""
        self.fence()
        every = " AND ".join([f"DeviceEventCategory = '{event_type}'", *conditions])
        return self.stack.search(f"SELECT ID FROM events WHERE {every} LIMIT 1") == []

    def fence(self) -> None:
        """Wait until a command that starts now, and what was held back before it, is found."""
        mark = uuid.uuid4().hex
        subprocess.run(["/bin/sh", "-c", f"sleep 3; : {mark}"], check=True)
        self.rows("process_terminate", f"DeviceCustomString4 LIKE '%{mark}%'")


@pytest.fixture(scope="package")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Return a host whose agent, with its default sensors, sends to a collector's EDR server."""
    machine, no_machine = _machine(tmp_path_factory.mktemp("machine") / "root")
    stack = Stack(tmp_path_factory.mktemp("telemetry"), Ports(edr=0, core=0))
    with ExitStack() as ends:
        if machine is not None:
            ends.callback(machine.stop)
        ends.callback(stack.close)
        stack.start_core(stack.start_edr()["url"])
        stack.start_collector()
        stack.accept_collector()
        stack.enroll_agent()
        if machine is not None:
            settings = tomllib.loads((stack.agent / "agent.toml").read_text())
            settings["watch"] = {"root": f"/proc/{machine.leader}/root"}
            (stack.agent / "agent.toml").write_text(tomli_w.dumps(settings))
        stack.start_agent()
        yield Watched(stack, machine, no_machine)


def _machine(folder: Path) -> tuple[Machine | None, str]:
    """Return a booted Debian, or None and why there is none."""
    if lacking := debian.missing("debootstrap", "tar", "systemd-nspawn", "nsenter"):
        return None, f"needs {lacking}"
    try:
        debian.unpack(debian.debian_root(*PACKAGES), folder)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"no Debian root can be had here: {error}"
    machine = Machine(folder)
    try:
        machine.start()
    except TimeoutError as error:
        machine.stop()
        return None, str(error)
    return machine, ""


@pytest.fixture
def mark() -> str:
    """A text that only this test's things carry."""
    return f"m{uuid.uuid4().hex[:16]}"
