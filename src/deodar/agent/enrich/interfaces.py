"""Which network interface has an address, and that interface's hardware address."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

SIOCGIFADDR = 0x8915
CLASS = Path("/sys/class/net")
INET6 = Path("/proc/net/if_inet6")


def hardware_address(address: str) -> str:
    """Return the hardware address (MAC) of the interface with an IP address; "" if there is none.

    The loopback interface has none.
    """
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return ""
    names = _with_ipv6(wanted) if wanted.version == 6 else _with_ipv4(wanted)
    for name in names:
        with suppress(OSError):
            found = (CLASS / name / "address").read_text("ascii").strip()
            return "" if found.strip("0:") == "" else found
    return ""


def _with_ipv4(wanted: ipaddress.IPv4Address) -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(probe, SIOCGIFADDR, request)
                if answer[20:24] == wanted.packed:
                    found.append(name)
    return found


def _with_ipv6(wanted: ipaddress.IPv6Address) -> list[str]:
    try:
        lines = INET6.read_text("ascii").splitlines()
    except OSError:
        return []
    digits = wanted.packed.hex()
    return [line.split()[-1] for line in lines if line.startswith(digits)]
