"""A virtual machine that boots from its memory, and what its guest tells over the serial line.

The guest writes lines ``SEEN`` and a JSON object with a ``step``. The processor is emulated: slow,
but it works wherever the tests do.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

BOOT = ("console=ttyS0", "quiet", "loglevel=1", "panic=-1", "systemd.show_status=0",
        "systemd.getty_auto=no")  # fmt: skip
"""No login on the console: it would wait for a device that nothing announces here."""
LEFT_OUT = ("./var/cache", "./usr/share/locale", "./usr/share/doc", "./usr/share/man")
MOST_WAITING = 10_000
LONGEST_LINE = 1 << 20
BUSY = 2.5
UNIT = """[Unit]
After=basic.target
[Service]
Type=oneshot
Environment={environment}
WorkingDirectory=/root
ExecStart={command}
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=/bin/systemctl --no-block poweroff
TimeoutStartSec=infinity
"""
"""The time limit is the host's."""


def run_at_boot(root: Path, command: str, environment: str) -> None:
    """Let a root, whose first program is systemd, run a command at boot and then switch off."""
    units = root / "etc" / "systemd" / "system"
    (units / "check.service").write_text(UNIT.format(command=command, environment=environment))
    (units / "multi-user.target.wants" / "check.service").symlink_to("../check.service")
    (root / "init").symlink_to("/lib/systemd/systemd")


def pack(root: Path, image: Path) -> None:
    """Write the root as the first file system that the kernel unpacks into its memory."""
    prune = " -o ".join(f"-path {folder}" for folder in LEFT_OUT)
    script = f"find . -xdev \\( {prune} \\) -prune -o -print0 | cpio -0 -o -H newc --quiet"
    with image.open("wb") as file:
        subprocess.run(["sh", "-c", script], cwd=root, stdout=file, check=True, timeout=120)


def boot_words(kernel: Path, image: Path, *more: str) -> tuple[str, ...]:
    """Return the emulator's options that boot a kernel with a packed root."""
    return ("-kernel", str(kernel), "-initrd", str(image), "-append", " ".join((*BOOT, *more)))


class Emulator:
    """A running virtual machine and what it told."""

    def __init__(self, log: Path, *words: str) -> None:
        fixed = ("-accel", "tcg,thread=multi", "-cpu", "max", "-m", "3072", "-smp", "2")
        fixed += ("-nographic", "-no-reboot")
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", *fixed, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, limit: float) -> dict[str, Any] | None:
        """Wait for what the guest tells next; None when it is off.

        Raises TimeoutError when it is silent for `limit` seconds.
        """
        try:
            line = self._lines.get(timeout=max(0.0, limit))
        except queue.Empty:
            raise TimeoutError(f"silent for {limit:.0f} s; it ended with: {self.last()}") from None
        if line is None:
            self._lines.put(None)
            return None
        found: dict[str, Any] = json.loads(line)
        return found

    def seen(self, step: str, limit: float) -> dict[str, Any]:
        """Wait for what the guest saw in a step; other steps on the way are passed over.

        `limit` is in seconds on a host that does nothing else; a busy one gets more.
        """
        deadline = time.monotonic() + limit * BUSY
        while found := self.next(deadline - time.monotonic()):
            if found["step"] == step:
                return found
        raise AssertionError(f"no {step!r} from the guest: {self.last()}")

    def last(self) -> str:
        """Return the end of what came over the serial line."""
        return self._log.read_text("utf-8")[-3000:] if self._log.is_file() else ""

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
        with self._log.open("w", encoding="utf-8") as log:
            while raw := self.process.stdout.readline(LONGEST_LINE):
                line = raw.decode("utf-8", "replace").strip()
                log.write(line + "\n")
                log.flush()
                if line.startswith("SEEN "):
                    self._lines.put(line.removeprefix("SEEN "))
        self._lines.put(None)
