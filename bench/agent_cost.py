"""What the sensor costs the host: kernel ns per event, from the kernel's own BPF statistics.

The kernel adds up the run time of each program (BPF_ENABLE_STATS, as long as a descriptor is open;
so nothing has to be put back), and the sensor's own descriptors tell it. That is far steadier on a
noisy machine than wall clock time of a workload with and without the sensor.

The workload is short on purpose: a program of three instructions, so that its file and the kernel's
paths stay in the caches; with programs that do real work in between, expect half as much again.

Run as root: ``python -m bench.agent_cost [processes]``.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import Line
from bench.stand import give
from deodar.agent.sensors import syscall
from deodar.agent.sensors.bpf import BpfSensor

ROUNDS = 5
GOALS = {"deodar_exec": 1800, "deodar_fork": 800, "deodar_exit": 300, "deodar_socket": 800}


def tiny_program() -> bytes:
    """Return an ELF file for x86-64 whose program is exit(0) and nothing else."""
    base, head = 0x400000, 64 + 56
    code = bytes.fromhex("b83c000000 31ff 0f05")  # mov eax, 60; xor edi, edi; syscall
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    size = head + len(code)
    elf = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    return identity + elf + segment + code


def spawn(count: int) -> None:
    """Run a tiny program `count` times, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "tiny"
        program.write_bytes(tiny_program())
        program.chmod(0o755)
        for number in range(count):
            os.waitpid(os.posix_spawn(program, ["tiny", str(number)], {}), 0)


def connect(count: int) -> None:
    """Make `count` TCP connections over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(count):
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                pass


def read_all(sensor: BpfSensor, stop: threading.Event) -> None:
    """Take what the sensor gives, as the agent does."""
    while not stop.is_set():
        sensor.read(0.2)


def programs(sensor: BpfSensor) -> dict[str, tuple[int, int]]:
    """Return run time in ns and number of runs of each program."""
    assert sensor.session is not None
    loaded = sensor.session.loaded.programs
    return {name: syscall.program_info(fd)[1:3] for name, fd in loaded.items()}


def rounds(sensor: BpfSensor, processes: int) -> list[dict[str, tuple[int, int]]]:
    """Make events in rounds; returns run time and number of runs of each program per round."""
    found = []
    for _ in range(ROUNDS):
        before = programs(sensor)
        spawn(processes // ROUNDS)
        connect(processes // ROUNDS)
        after = programs(sensor)
        found.append(
            {name: (after[name][0] - ns, after[name][1] - n) for name, (ns, n) in before.items()}
        )
    return found


def run(processes: int = 3000) -> dict[str, Any]:
    """Measure; returns for each program its runs and ns per run (of the median round), and loss.

    Raises SensorUnavailable without root, or where the kernel refuses the sensor.
    """
    sensor = BpfSensor(own_pid=0)
    sensor.open()
    statistics_on = syscall.enable_statistics()
    stop = threading.Event()
    reader = threading.Thread(target=read_all, args=(sensor, stop))
    reader.start()
    try:
        found = rounds(sensor, processes)
    finally:
        os.close(statistics_on)
        stop.set()
        reader.join()
        counters = sensor.counters()
        sensor.close()
    table = {
        name: {
            "runs": sum(each[name][1] for each in found),
            "ns": median(each[name][0] / max(1, each[name][1]) for each in found),
            "goal": goal,
        }
        for name, goal in GOALS.items()
    }
    return {"programs": table, "lost": counters.lost}


def main() -> None:
    """Measure and print."""
    result = run(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
    give(
        *(
            Line(
                f"agent: {name.removeprefix('deodar_')}, in the kernel",
                row["ns"],
                "ns/run",
                row["ns"] / row["goal"],
                f"the goal ({row['goal']} ns)",
            )
            for name, row in result["programs"].items()
        ),
        Line("agent: records lost while measured", result["lost"], "records"),
    )


if __name__ == "__main__":
    main()
