"""What connectors that are connected to have in common: address, TLS, who a peer is."""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.kit.errors import SettingsError
from deodar.tls.certificates import load_certificates, load_pair

if TYPE_CHECKING:
    from pathlib import Path

Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
GatherSeconds = Annotated[float, msgspec.Meta(ge=0.01, le=60)]


class ListenTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """TLS is spoken when `certificate` is given: a PEM file with certificate and key. With
    `client_ca`, a PEM file, each sender must show a certificate of one of its authorities.
    """  # noqa: D205

    certificate: str = ""
    client_ca: str = ""

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        if self.client_ca and not self.certificate:
            return "tls.client_ca: certificates of senders need tls.certificate too"
        return ""


def server_context(settings: ListenTls, home: Path) -> ssl.SSLContext | None:
    """Return the context for a listener, None without TLS; raises SettingsError or TlsError."""
    if not settings.certificate:
        return None
    path = home / settings.certificate
    load_pair(_read(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    if settings.client_ca:
        authorities = _read(home / settings.client_ca)
        load_certificates(authorities)
        context.load_verify_locations(cadata=authorities.decode("ascii", "ignore"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error


def address_problem(host: str) -> str:
    """Return what is wrong with an address to listen on, or ""."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return f"host: {host!r} is no IP address; 0.0.0.0 and :: are all addresses of this host"
    return ""


def peer_address(peer: Any) -> str:
    """Return the IP address of a socket's peer; IPv4 in IPv6 as IPv4."""
    host = str(peer[0]) if peer else ""
    return host.removeprefix("::ffff:") if "." in host else host
