"""What an agent takes while the host does nothing: processor and memory, all processes together.

Method: a real agent with its default settings and the eBPF sensor, enrolled at a real EDR server on
this machine; half a minute and more to settle, until what ran before is hashed, then two minutes of
watching. Processor: user and system time of the agent's process and its children (/proc/PID/stat)
by the wall clock, and beside it the run time of its eBPF programs, which the kernel accounts to
whoever caused the event. Memory: resident set (Rss in /proc/PID/smaps_rollup, shared pages counted
in full) summed over the processes, at the end. The server would be another host's: the folder of
its store is left out, or the agent would tell of each merge there. The host is never quite idle all
the same, so how many records came in the time is told as well. So is what a program takes meanwhile
that only wakes up once a second: virtual machines differ by the factor of ten in what they charge.

Run as root: ``python -m bench.agent_idle [seconds]``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import Line, cpu_seconds
from bench.stand import give, settle, stack
from deodar.agent.sensors import syscall
from deodar.agent.service import DETECTION, INTEGRATION
from deodar.demo.stack import DEODAR, deodar
from deodar.kit.children import Child

if TYPE_CHECKING:
    from deodar.demo.stack import Stack

SETTLE = 30.0
SECONDS = 120.0
CPU_GOAL = 0.5
MEMORY_GOAL = 60.0
WAKES = "import time\nwhile True: time.sleep(1)"


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with stack() as parts:
        parts.start_edr()
        parts.enroll_agent()
        words = ("MaximumDataTransferTime=30", "UseRequestCountLimits=Yes")  # the defaults
        deodar("agent", "task", "settings", "set", INTEGRATION, *words, "--dir", parts.agent)
        words = (f"ExcludedFolders.item_0001.FolderPath={parts.edr}",)
        deodar("agent", "task", "settings", "set", DETECTION, *words, "--dir", parts.agent)
        command = [*DEODAR, "agent", "run", "--dir", str(parts.agent)]
        agent = Child("agent", command, parts.folder / "logs")
        parts.children["agent"] = agent.start()
        agent.ready()
        time.sleep(SETTLE)
        settle(parts)
        sleeper = Child("sleeper", [sys.executable, "-c", WAKES], parts.folder / "logs")
        parts.children["sleeper"] = sleeper.start()
        statistics = syscall.enable_statistics()
        received = records(parts)
        before, kernel = cpu_seconds(agent.pid), kernel_seconds(agent.pid)
        asleep = run_seconds(sleeper.pid)
        began = time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - began
        share = (cpu_seconds(agent.pid) - before) / passed * 100
        in_kernel = (kernel_seconds(agent.pid) - kernel) / passed * 100
        wakes = (run_seconds(sleeper.pid) - asleep) / passed * 100
        os.close(statistics)
        rate = (records(parts) - received) / passed
        memory = sum(map(resident, [agent.pid, *children(agent.pid)])) / 1e6
    give(
        Line("agent, idle: processor", share, "% of a core", share / CPU_GOAL, "the goal (0.5 %)"),
        Line("agent, idle: its programs in the kernel", in_kernel, "% of a core"),
        Line("a program that wakes up once a second", wakes, "% of a core"),
        Line("agent, idle: records that came", rate, "1/s"),
        Line("agent, idle: memory", memory, "MB", memory / MEMORY_GOAL, "the goal (60 MB)"),
    )


def records(parts: Stack) -> int:
    """Return how many records the sensor has given so far."""
    told = json.loads(deodar("agent", "status", "--json", "--dir", parts.agent))
    return int(told["sensor"]["received"])


def children(pid: int) -> list[int]:
    """Return the processes that the agent has started and that run."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has children of its own
    return [int(child) for each in lists for child in each.read_text().split()]


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def run_seconds(pid: int) -> float:
    """Return how long the first thread of a process has run, finer than clock ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def kernel_seconds(pid: int) -> float:
    """Return how long the eBPF programs have run that a process has open."""
    total = 0
    for link in Path(f"/proc/{pid}/fdinfo").iterdir():
        found = re.search(r"^run_time_ns:\s+(\d+)$", link.read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / 1e9


if __name__ == "__main__":
    main()
