"""What is said about the host in every event: its names, its address, its operating system."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

import msgspec

OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses out in the world (reserved for documentation) by family."""


class HostFacts(msgspec.Struct, frozen=True):
    """One host, as far as it does not change while the agent runs."""

    name: str
    os_family: str
    os_name: str
    os_version: str
    boot_id: str
    machine_id: str


def collect(root: Path = Path("/")) -> HostFacts:
    """Return the facts about this host; what cannot be found is ""."""
    release = os_release([root / path.relative_to("/") for path in OS_RELEASE])
    return HostFacts(
        name=os.uname().nodename,
        os_family="Linux",
        os_name=release.get("PRETTY_NAME", "Linux"),
        os_version=os.uname().release,
        boot_id=_line(root / "proc/sys/kernel/random/boot_id"),
        machine_id=_line(root / "etc/machine-id"),
    )


def os_release(paths: list[Path]) -> dict[str, str]:
    """Return the values of the first readable os-release file, unquoted."""
    for path in paths:
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
        return {key.strip(): value.strip().strip("\"'") for key, value in pairs}
    return {}


def address_towards(server: str) -> str:
    """Return this host's address on the way to a server (host:port); "" if there is no way.

    Nothing is sent: connecting a datagram socket only asks for the route. A server given by name
    is taken to be where the default route leads, so that no name service is waited for.
    """
    name = server.rpartition(":")[0].strip("[]")
    if not name:
        return ""
    for family, elsewhere in ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((name if _is_address(name) else elsewhere, 443))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
