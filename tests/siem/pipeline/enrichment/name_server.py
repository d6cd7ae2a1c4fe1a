"""dnsmasq on loopback, which knows a few names; tests of DNS ask it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deodar.siem.pipeline.enrichment.resolver import Question, Resolver, Server

needs_dnsmasq = pytest.mark.skipif(
    shutil.which("dnsmasq") is None, reason="needs dnsmasq (tools/debian-packages test)"
)
SETTINGS = """
no-resolv
no-hosts
bind-interfaces
listen-address=127.0.0.1
local=/example/
local=/in-addr.arpa/
host-record=web.example,192.0.2.7,2001:db8::7,300
host-record=mail.example,192.0.2.8,300
cname=alias.example,web.example
"""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def name_server(folder: Path) -> Iterator[Server]:
    """Run dnsmasq while the block runs."""
    server = Server("127.0.0.1", free_port())
    settings = folder / "dnsmasq.conf"
    many = "".join(f"host-record=h{n}.example,198.51.100.{n},300\n" for n in range(200))
    wide = "".join(f"host-record=wide.example,203.0.113.{n}\n" for n in range(120))
    settings.write_text(f"{SETTINGS}port={server.port}\n{many}{wide}")
    command = ["dnsmasq", "-k", "-C", str(settings), "--pid-file=", "--user=root"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            until = time.monotonic() + 10
            while not Resolver([server], 1).ask([Question("web.example", "A")], 0.2):
                assert child.poll() is None, "dnsmasq does not run"
                assert time.monotonic() < until, "dnsmasq does not answer"
            yield server
        finally:
            child.terminate()
