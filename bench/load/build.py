"""A build of a real C project, Debian's source of Lua, with and without the agent, as a ratio.

The builds alternate, so that a change of the machine's mood meets both; the ratio is the median of
the pairs. The agent sends to an EDR server on this machine, so on few cores the ratio by the clock
has the server's work in it too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.load.generate import processor
from bench.report import Line, cpu_seconds
from bench.stand import give, settle, stack

if TYPE_CHECKING:
    from deodar.kit.children import Child

PROJECT = "lua5.4"
ROUNDS = 5
DEB = re.compile(r"^(Types: *)?deb(?= |$)", re.MULTILINE)
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))


def fetch(folder: Path) -> Path:
    """Return the project's source as a tar file, from the mirror that this machine uses itself."""
    parts = folder / "parts"
    for wanted in (parts, folder / "lists" / "partial"):
        wanted.mkdir(parents=True)
    (folder / "sources.list").touch()
    for source in SOURCES:
        if source.exists():
            text = re.sub(
                r"^(Types: *)?deb(?= |$)", r"\1deb-src", source.read_text(), flags=re.MULTILINE
            )
            (parts / source.name).write_text(text)
    apart = [
        *("-o", f"Dir::Etc::sourcelist={folder}/sources.list"),
        *("-o", f"Dir::Etc::sourceparts={parts}", "-o", f"Dir::State::Lists={folder}/lists"),
        *("-o", f"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User=root"),
    ]
    for words in (["update"], ["source", "--download-only", PROJECT]):
        subprocess.run(["apt-get", "-qq", *apart, *words], cwd=folder, check=True, timeout=300)
    return next(folder.glob("*.orig.tar.*"))


def build(source: Path) -> tuple[float, float]:
    """Unpack and build; returns seconds by the clock and of the processor."""
    with tempfile.TemporaryDirectory(prefix="deodar-build-") as folder:
        with tarfile.open(source) as packed:
            packed.extractall(folder, filter="data")
        (tree,) = Path(folder).iterdir()
        used, began = processor(), time.monotonic()
        words = ["make", "-s", "-C", str(tree / "src"), "generic"]
        subprocess.run(words, check=True, capture_output=True, timeout=300)
        return time.monotonic() - began, processor() - used


def compare(source: Path, rounds: int) -> tuple[float, float, float, float]:
    """Return the median seconds of a build, and the ratios by the clock and of the processor.

    The last number is the agent's own processor time for a build, in seconds.
    """
    pairs = []
    with stack() as parts:
        parts.start_edr()
        parts.enroll_agent()
        for _ in range(rounds):
            without = build(source)
            parts.start_agent()
            settle(parts)
            agent = parts.children["agent"]
            began = _own(agent)
            pairs.append((without, build(source), _own(agent) - began))
            agent.stop()
    clock = median(with_agent[0] / without[0] for without, with_agent, _ in pairs)
    cpu = median(with_agent[1] / without[1] for without, with_agent, _ in pairs)
    return median(pair[0][0] for pair in pairs), clock, cpu, median(pair[2] for pair in pairs)


def _own(agent: Child) -> float:
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return sum(cpu_seconds(int(pid)) for pid in (agent.pid, *children))


def main() -> None:
    """Measure and print."""
    if shutil.which("cc") is None:
        sys.exit("needs a C compiler: apt-get install gcc make")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="deodar-source-") as folder:
        seconds, clock, cpu, own = compare(fetch(Path(folder)), rounds)
    against = f"without an agent ({seconds:.1f} s)"
    give(
        Line("a build of Lua with the agent: by the clock", clock * seconds, "s", clock, against),
        Line("a build of Lua with the agent: its processor time", cpu, "times", cpu, against),
        Line("a build of Lua: the agent's own processor time", own, "s"),
    )


if __name__ == "__main__":
    main()
