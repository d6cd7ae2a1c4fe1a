"""A Debian machine with a kernel of its own: Debian's, with cgroup v2, under an emulator.

A container shares the host's kernel, whose audit system and control groups may be out of reach.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.packaging.machine import cache

if TYPE_CHECKING:
    from tests.packaging.machine import Machine

IMAGE = "linux-image-cloud-amd64"
DRIVERS = ("drivers/virtio", "drivers/net/virtio_net.ko", "drivers/net/net_failover.ko",
           "net/core/failover.ko")  # fmt: skip
BOOT = ("console=ttyS0", "quiet", "loglevel=1", "panic=-1", "systemd.show_status=0",
        "systemd.getty_auto=no")  # fmt: skip
"""No login on the console: it would wait for a device that nothing announces here."""
LEFT_OUT = ("./var/cache", "./usr/share/locale", "./usr/share/doc", "./usr/share/man")
GUEST = Path(__file__).with_name("guest.py")
CHECK = """[Unit]
After=basic.target
[Service]
Type=oneshot
Environment=SERVER_PORT={port}
ExecStart=/usr/lib/deodar-agent/bin/python3 -IB /root/guest.py
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=/bin/systemctl --no-block poweroff
TimeoutStartSec=infinity
"""


def kernel() -> Path:
    """Return a folder with Debian's kernel and its modules, fetched when it is not there.

    Raises subprocess.SubprocessError or OSError when it cannot be had.
    """
    folder = cache() / "kernel"
    if not folder.exists():
        aside = cache() / f"kernel.{os.getpid()}"
        aside.mkdir()
        try:
            told = _output("apt-cache", "depends", IMAGE, cwd=aside)
            name = next(w for w in told.split() if w.startswith("linux-image-") and w != IMAGE)
            _output("apt-get", "download", name, cwd=aside)
            (package,) = aside.glob("*.deb")
            _output("dpkg-deb", "-x", package.name, ".", cwd=aside)
            package.unlink()
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def prepare(machine: Machine, image: Path, port: int) -> None:
    """Make a stopped machine with an enrolled agent one that `guest.py` runs in at boot."""
    root = machine.folder
    (modules,) = (kernel() / "lib" / "modules").iterdir()
    target = root / "usr" / "lib" / "modules" / modules.name
    target.mkdir(parents=True)
    for file in modules.glob("modules.*"):
        shutil.copy(file, target)
    for name in DRIVERS:
        source, place = modules / "kernel" / name, target / "kernel" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, place)
    _output("chroot", str(root), "depmod", modules.name, cwd=root)
    shutil.copy(GUEST, root / "root" / GUEST.name)
    units = root / "etc" / "systemd" / "system"
    (units / "check.service").write_text(CHECK.format(port=port))
    wanted = units / "multi-user.target.wants" / "check.service"
    wanted.symlink_to("../check.service")
    (root / "init").symlink_to("/lib/systemd/systemd")
    _pack(root, image)


def _pack(root: Path, image: Path) -> None:
    """Write the root as the first file system that the kernel unpacks into its memory."""
    prune = " -o ".join(f"-path {folder}" for folder in LEFT_OUT)
    script = f"find . -xdev \\( {prune} \\) -prune -o -print0 | cpio -0 -o -H newc --quiet"
    with image.open("wb") as file:
        subprocess.run(["sh", "-c", script], cwd=root, stdout=file, check=True, timeout=120)


class Emulator:
    """A running virtual machine and what it told."""

    def __init__(self, image: Path, log: Path) -> None:
        (vmlinuz,) = (kernel() / "boot").glob("vmlinuz-*")
        words = ("-accel", "tcg,thread=multi", "-cpu", "max", "-m", "3072", "-smp", "2")
        words += ("-nographic", "-no-reboot", "-kernel", str(vmlinuz), "-initrd", str(image))
        words += ("-append", " ".join(BOOT))
        words += ("-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n")
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        threading.Thread(target=self._read, daemon=True).start()

    def seen(self, step: str, limit: float) -> dict[str, Any]:
        """Wait for what the guest saw in a step; other steps on the way are passed over."""
        deadline = time.monotonic() + limit
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no {step!r} from the guest: {self._log.read_text()[-3000:]}"
            found = json.loads(line)
            if found["step"] == step:
                return found

    def go_on(self) -> None:
        """Give the guest the line that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """End the machine, as if its power were cut."""
        self.process.kill()
        self.process.wait(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self._log.open("w") as log:
            for raw in self.process.stdout:
                line = raw.decode("utf-8", "replace").strip()
                log.write(line + "\n")
                log.flush()
                if line.startswith("SEEN "):
                    self._lines.put(line.removeprefix("SEEN "))
        self._lines.put(None)


def _output(*words: str, cwd: Path) -> str:
    return subprocess.run(
        words, cwd=cwd, check=True, capture_output=True, text=True, timeout=120
    ).stdout
