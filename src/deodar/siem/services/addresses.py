"""Under which address services reach the core, and the command that installs one."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deodar.siem.services.pairing import Invitation
    from deodar.siem.settings import SiemSettings

DEFAULT_API_PORT = 7221
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def own_name(host: str) -> str:
    """Return the name under which others find what listens on `host`."""
    return socket.getfqdn() if host in _ANYWHERE else host


def service_url(settings: SiemSettings) -> str:
    """Return the core's URL for services, also those on other hosts."""
    if settings.services.address:
        return settings.services.address.rstrip("/")
    host = own_name(settings.host)
    return f"https://[{host}]:{settings.port}" if ":" in host else f"https://{host}:{settings.port}"


def is_loopback(settings: SiemSettings) -> bool:
    """Whether the core listens for programs of its own host alone."""
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return settings.host == "localhost"


def install_command(
    settings: SiemSettings, pin: str, invitation: Invitation, api_port: int = DEFAULT_API_PORT
) -> str:
    """Return the command that pairs and installs a service; it holds the token.

    `pin` is the SHA-256 of the core's authority, by which the host knows the core.
    """
    words = ["deodar", "siem", "collector", "--core", service_url(settings)]
    words += ["--id", invitation.service_id, "--pin", pin, "--token", invitation.token]
    words += ["--api-port", str(api_port)]
    return shlex.join(words)
