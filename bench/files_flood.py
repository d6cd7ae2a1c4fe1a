"""A flood of file changes: is each of them told, counted, or lost and counted as lost?

Processes make and remove folders, or create and delete files, as fast as it is wanted, and say in
the end how many they did. That has to be the sum of what the sensor told one by one, what it told
as counts, and what it reported as lost. Once with the default policy, and once with everything
told and a ring that is too small for it.

Run as root: ``python -m bench.files_flood [changes per second] [seconds]``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from bench.report import Line
from bench.stand import give
from deodar.agent.sensors.acts import FileChange, FileOperation, FileRepeats
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.file_policy import FilePolicy
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.files import FILES

PROCESSES = 4
SMALL_RING = 1 << 16
SETTLE = 20.0
"""Seconds that the last counts may take."""
GENERATOR = """
import os, sys, time
folder, rate, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
path, done, start = f"{folder}/{os.getpid()}", 0, time.monotonic()
end = start + seconds
while (now := time.monotonic()) < end:
    for _ in range(int((now - start) * rate) - done >> 1):
        os.mkdir(path)
        os.rmdir(path)
        done += 2
    time.sleep(0.001)
print(done)
"""
OPERATIONS = (FileOperation.CREATE, FileOperation.DELETE)


@dataclass
class Account:
    """What became of the changes of some processes."""

    told: int = 0
    counted: int = 0
    done: int = 0
    """What the processes say that they did."""
    elapsed: float = 0.0
    received: int = 0
    """Changes of all processes that were read one by one."""
    generated: int = 0
    lost: int = 0
    """Of all processes: those that did not fit into the ring are known by number only."""

    @property
    def is_whole(self) -> bool:
        """Whether every change of these processes, and of all, is accounted for."""
        ours = self.told + self.counted
        return self.received + self.lost == self.generated and ours + self.lost >= self.done


def flood(
    policy: FilePolicy, rate: float, seconds: float, ring_bytes: int | None = None
) -> Account:
    """Make changes and read what the sensor says of them."""
    sensor = BpfSensor(parts=(CORE, FILES), ring_bytes=ring_bytes)
    sensor.open()
    try:
        assert sensor.refused == []
        sensor.follow(policy)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # no disk in the way
            command = [sys.executable, "-c", GENERATOR, folder, str(rate / PROCESSES), str(seconds)]
            processes = [
                subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)
            ]
            return _account(sensor, processes)
    finally:
        sensor.close()


def _account(sensor: BpfSensor, processes: list[subprocess.Popen[bytes]]) -> Account:
    account, pids = Account(), {process.pid for process in processes}
    start = time.monotonic()
    while any(process.poll() is None for process in processes):
        _read(sensor, account, pids)
    account.elapsed = time.monotonic() - start
    account.done = sum(int(process.communicate()[0]) for process in processes)
    until = time.monotonic() + SETTLE
    while not account.is_whole and time.monotonic() < until:
        subprocess.run(["/bin/true"], check=True)  # while records come the counts are looked at
        _read(sensor, account, pids)
    return account


def _read(sensor: BpfSensor, account: Account, pids: set[int]) -> None:
    for record in sensor.read(0.05):
        if isinstance(record, FileChange):
            account.received += 1
            account.told += record.key.pid in pids and record.operation in OPERATIONS
        elif isinstance(record, FileRepeats) and record.key.pid in pids:
            account.counted += sum(record.counts.get(one, 0) for one in OPERATIONS)
    assert sensor.session is not None
    account.generated, account.lost = sensor.session.tallies()["file change"]


def lines(name: str, account: Account) -> list[Line]:
    """Return what a flood gave."""
    ours, known = account.told + account.counted, account.received + account.lost
    return [
        Line(f"{name}: changes per second", account.done / account.elapsed, "changes/s"),
        Line(f"{name}: told one by one", account.told, "changes"),
        Line(f"{name}: told as counts", account.counted, "changes"),
        Line(
            f"{name}: told and counted", ours, "changes", ours / account.done, "what was done"
        ),
        Line(f"{name}: lost of all processes", account.lost, "changes"),
        Line(
            f"{name}: read and lost of all", known, "changes", known / max(1, account.generated),
            "what the programs generated",
        ),
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    everything = FilePolicy(events_per_second=0)
    give(
        *lines("default policy", flood(FilePolicy(), rate, seconds)),
        *lines("all told, small ring", flood(everything, rate, seconds, SMALL_RING)),
    )


if __name__ == "__main__":
    main()
