"""A Debian machine with a kernel of its own: Debian's, with cgroup v2, under an emulator.

A container shares the host's kernel, whose audit system and control groups may be out of reach.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.machines import emulator
from tests.machines.kernels import Stock

if TYPE_CHECKING:
    from tests.packaging.machine import Machine

STOCK = Stock("bookworm", "linux-image-cloud-amd64")
DRIVERS = ("drivers/virtio", "drivers/net/virtio_net.ko", "drivers/net/net_failover.ko",
           "net/core/failover.ko", "drivers/net/dummy.ko")  # fmt: skip
NETWORK = ("-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n")
GUEST = Path(__file__).with_name("guest.py")
COMMAND = "/usr/lib/deodar-agent/bin/python3 -IB /root/guest.py"


def prepare(machine: Machine, image: Path, port: int) -> None:
    """Make a stopped machine with an enrolled agent one that `guest.py` runs in at boot."""
    root = machine.folder
    STOCK.fetched().give_modules(root, DRIVERS)
    shutil.copy(GUEST, root / "root" / GUEST.name)
    emulator.run_at_boot(root, COMMAND, f"SERVER_PORT={port}")
    emulator.pack(root, image)


def boot(image: Path, log: Path) -> emulator.Emulator:
    """Boot what `prepare` packed."""
    words = emulator.boot_words(STOCK.fetched().image, image)
    return emulator.Emulator(log, *words, *NETWORK)
