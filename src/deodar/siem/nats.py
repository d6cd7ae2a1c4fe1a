"""How a NATS server or cluster is reached, for the connector and for the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from deodar.siem.destinations.base import read_secret
from deodar.siem.destinations.trust import TlsSettings, client_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class NatsLink(Protocol):
    """What settings of both have in common."""

    @property
    def urls(self) -> Sequence[str]:
        """The nodes of one cluster."""

    @property
    def user(self) -> str:
        """Who it is, or empty."""

    @property
    def password_file(self) -> str:
        """The file of that user's password."""

    @property
    def token_file(self) -> str:
        """The file of a token."""

    @property
    def timeout(self) -> float:
        """Seconds for connecting."""

    @property
    def tls(self) -> TlsSettings:
        """How the servers are known."""


def link_problem(settings: NatsLink) -> str:
    """Return "key: what is wrong", or ""."""
    if not settings.urls:
        return "urls: give at least one"
    for url in settings.urls:
        if not url.startswith(("nats://", "tls://")) or any(map(str.isspace, url)):
            return f"urls: {url!r} is not nats://host:port or tls://host:port"
    if bool(settings.user) != bool(settings.password_file):
        return "user: user and password_file belong together"
    return settings.tls.problem()


def link_options(settings: NatsLink, home: Path) -> dict[str, Any]:
    """Return the client library's options; raises SettingsError or TlsError."""
    options: dict[str, Any] = {
        "servers": list(settings.urls),
        "name": "deodar",
        "allow_reconnect": False,  # the collector tries again, and tells of it
        "connect_timeout": min(settings.timeout, 10.0),
        "error_cb": _ignore,
    }
    if settings.user:
        options |= {"user": settings.user, "password": read_secret(home, settings.password_file)}
    if settings.token_file:
        options["token"] = read_secret(home, settings.token_file)
    if any(url.startswith("tls://") for url in settings.urls):
        options["tls"] = client_context(settings.tls, home)
    return options


async def _ignore(_error: Exception) -> None:
    """Keep the library from logging by itself: every failure reaches the caller."""
