"""syslog-ng of Debian as a process of a test's own.

It cannot be installed beside rsyslog, so its package is fetched and unpacked into a folder.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

CONFIGURATION = """
@version: 3.35
options {{ keep-hostname(yes); stats-freq(0); }};
source all {{ syslog(ip(127.0.0.1) port({port}) transport("{transport}") log-msg-size(262144)); }};
destination written {{ file("{folder}/received" template(
  "$(format-json host=$HOST program=$PROGRAM msgid=$MSGID message=$MSG)\\n")); }};
log {{ source(all); destination(written); }};
"""


def unpacked(folder: Path) -> Path | None:
    """Fetch and unpack the package; None where that cannot be done."""
    root = folder / "root"
    try:
        for command in (
            ["apt-get", "download", "syslog-ng-core"],
            ["sh", "-c", 'dpkg-deb -x syslog-ng-core_*.deb "$0"', str(root)],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
        ran = subprocess.run(
            [root / "usr/sbin/syslog-ng", "-V"], env=environment(root), capture_output=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return root if ran.returncode == 0 else None


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(root / "usr/lib/syslog-ng")}


class SyslogNg:
    """Writes what it read, field by field, as JSON."""

    def __init__(self, root: Path, folder: Path, transport: str) -> None:
        self.root, self.folder = root, folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        text = CONFIGURATION.format(port=self.port, transport=transport, folder=folder)
        (folder / "syslog-ng.conf").write_text(text)

    def __enter__(self) -> SyslogNg:
        modules = next((self.root / "usr/lib/syslog-ng").glob("*/libafsocket.so")).parent
        files = {"-f": "syslog-ng.conf", "-R": "persist", "-p": "pid", "-c": "control"}
        words = [word for flag, name in files.items() for word in (flag, str(self.folder / name))]
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [self.root / "usr/sbin/syslog-ng", "-F", "--no-caps", "--module-path", modules, *words],
            env=environment(self.root),
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)
        return self

    def _listens(self) -> bool:
        tables = Path("/proc/net/tcp").read_text() + Path("/proc/net/udp").read_text()
        return f"0100007F:{self.port:04X} 00000000:0000" in tables

    def __exit__(self, *_error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()

    def lines(self) -> list[bytes]:
        path = self.folder / "received"
        return path.read_bytes().splitlines() if path.exists() else []
