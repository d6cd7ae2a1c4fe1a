"""How a destination's server is known over TLS, and what is shown to it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import msgspec

from deodar.siem.destinations.base import read_file
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client, unverified_client

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.tls.certificates import Pair


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server is known by one of: `pins`, SHA-256 of its certificate or its authority's; `ca`,
    a PEM file, with its host name unless `host_names` is false; nothing (`insecure`); or else by
    the system's authorities. `certificate` is a PEM file with what is shown to it, and its key.
    """  # noqa: D205

    pins: list[str] = []
    ca: str = ""
    host_names: bool = True
    insecure: bool = False
    certificate: str = ""

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        if sum([bool(self.pins), bool(self.ca), self.insecure]) > 1:
            return "tls: give one of pins, ca and insecure, not several"
        return ""


def client_context(settings: TlsSettings, home: Path) -> ssl.SSLContext:
    """Return the context for connections; raises SettingsError or TlsError."""
    pair: Pair | None = None
    if settings.certificate:
        pair = load_pair(read_file(home, settings.certificate))
    if settings.insecure:
        return unverified_client(pair)
    if settings.pins:
        return pinned_client(settings.pins, pair)
    if settings.ca:
        authority = read_file(home, settings.ca)
        return pinned_client(authority, pair, host_names=settings.host_names)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate:
        context.load_cert_chain(home / settings.certificate)
    return context
