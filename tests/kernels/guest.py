"""What a machine with a kernel of its own does: tell of it, try what it offers, run the tests.

Runs as a unit inside the machine, in the folder of the project's tree.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernels import plan
from tests.kernels.abilities import ABILITIES
from tests.kernels.teller import tell

from deodar.agent.sensors.bpf import check_host
from deodar.agent.sensors.choose import REGISTRY
from deodar.agent.sensors.errors import SensorError
from deodar.agent.sensors.open_part import open_part
from deodar.agent.sensors.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deodar.agent.sensors.parts import Part

LSMS = Path("/sys/kernel/security/lsm")
OUTPUT = Path("/root/pytest.out")
DISK, DISK_BYTES = "/root/disk", "512M"
ON_DISK = ("/var/tmp", "/tmp")
FAULTS = re.compile(r"\b(BUG|WARNING|Oops|general protection fault|INFO: task .* blocked)\b")
MOST_FAULTS = 20


def host() -> None:
    facts = os.uname()
    lsms = LSMS.read_text().strip() if LSMS.is_file() else "not known: no securityfs"
    tell("host", release=facts.release, version=facts.version, lsms=lsms,
         btf=Path("/sys/kernel/btf/vmlinux").is_file())  # fmt: skip


def disk() -> None:
    """Put folders for tests on a disk's file system: the root is in memory, which no host has."""
    subprocess.run(["truncate", "-s", DISK_BYTES, DISK], check=True)
    subprocess.run(["mkfs.ext4", "-q", DISK], check=True)
    subprocess.run(["mount", "-o", "loop", DISK, ON_DISK[0]], check=True)
    for folder in ON_DISK[1:]:
        subprocess.run(["mount", "--bind", ON_DISK[0], folder], check=True)
    Path(ON_DISK[0]).chmod(0o1777)


def try_part(part: Part) -> None:
    check_host()
    open_part(part).close()


def try_sensor(name: str) -> None:
    sensor = REGISTRY[name]()
    sensor.open()
    sensor.close()


def tiers() -> None:
    """Open each part of the BPF sensor by itself, and each other sensor."""
    every: list[tuple[str, Callable[[], None]]] = []
    every += [(f"{part.name} (BPF)", partial(try_part, part)) for part in PARTS]
    every += [(name, partial(try_sensor, name)) for name in REGISTRY if name != "bpf"]
    tell_each("tier", every)


def tell_each(step: str, attempts: Iterable[tuple[str, Callable[[], None]]]) -> None:
    """Tell of each attempt whether it worked, and why not."""
    for name, attempt in attempts:
        try:
            attempt()
            tell(step, name=name, works=True)
        except (SensorError, OSError) as error:
            tell(step, name=name, works=False, said=str(error))


def tests(paths: list[str]) -> str:
    """Run the tests; returns why they did not come to their end, "" if they did."""
    words = ["-p", "tests.kernels.teller", "-p", "no:cacheprovider", "-q"]
    words += [f"--timeout={plan.TEST_SECONDS}", "-m", plan.MARK, *paths]
    try:
        with OUTPUT.open("w") as output:
            ran = subprocess.run([sys.executable, "-m", "pytest", *words], stdout=output, stderr=-2,
                                 timeout=plan.TESTS_SECONDS)  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"the tests were ended after {plan.TESTS_SECONDS:.0f} s"
    if ran.returncode in (0, 1):
        return ""
    return f"pytest ended with code {ran.returncode}: {OUTPUT.read_text()[-plan.MOST_TEXT :]}"


def complaints() -> list[str]:
    """Lines of the kernel's log about faults in the kernel itself."""
    log = subprocess.run(["dmesg"], stdout=-1, text=True, errors="replace").stdout.splitlines()
    return [line for line in log if FAULTS.search(line)][:MOST_FAULTS]


def main() -> None:
    host()
    disk()
    tiers()
    tell_each("ability", ABILITIES.items())
    trouble = tests(sys.argv[1:] or list(plan.TESTS))
    tell("end", trouble=trouble, complaints=complaints())


if __name__ == "__main__":
    main()
