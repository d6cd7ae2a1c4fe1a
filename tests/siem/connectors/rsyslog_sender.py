"""rsyslog of Debian as a sender: reads lines from a socket of its own and sends them on."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

needs_rsyslog = pytest.mark.skipif(
    shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") is None, reason="rsyslogd is not installed"
)
CONFIGURATION = """
global(workDirectory="{folder}" {tls})
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/in" RateLimit.Interval="0")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="{protocol}"
  template="RSYSLOG_SyslogProtocol23Format" {options})
"""
TLS = (
    'defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{folder}/ca.pem" '
    'defaultNetstreamDriverCertFile="{folder}/client.crt" '
    'defaultNetstreamDriverKeyFile="{folder}/client.key"'
)
TLS_OPTIONS = 'streamDriver="gtls" streamDriverMode="1" streamDriverAuthMode="x509/certvalid"'


class RsyslogSender:
    """Sends to a port of this host; `options` are those of its action omfwd."""

    def __init__(self, folder: Path, port: int, protocol="tcp", options="", tls=False) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        text = CONFIGURATION.format(
            folder=folder,
            port=port,
            protocol=protocol,
            options=f"{options} {TLS_OPTIONS if tls else ''}",
            tls=TLS.format(folder=folder) if tls else "",
        )
        (folder / "rsyslog.conf").write_text(text)

    def __enter__(self) -> RsyslogSender:
        path = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
        command = [path, "-n", "-f", f"{self.folder}/rsyslog.conf", "-i", f"{self.folder}/pid"]
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        while not (self.folder / "in").exists():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)
        return self

    def log_lines(self, *texts: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(self.folder / "in"))
            for text in texts:
                sender.send(f"<13>test: {text}".encode())

    def __exit__(self, *_error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()
