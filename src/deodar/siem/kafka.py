"""How a Kafka cluster is reached, for the connector and for the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from deodar.siem.destinations.base import read_secret
from deodar.siem.destinations.trust import TlsSettings, client_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Sasl = Literal["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Security = Literal["plaintext", "tls"]


class KafkaLink(Protocol):
    """What settings of both have in common."""

    @property
    def brokers(self) -> Sequence[str]:
        """Brokers as host:port."""

    @property
    def security(self) -> Security:
        """Whether TLS is spoken."""

    @property
    def sasl(self) -> Sasl:
        """The mechanism of SASL, or none."""

    @property
    def user(self) -> str:
        """Who it is, or empty."""

    @property
    def password_file(self) -> str:
        """The file of that user's password."""

    @property
    def tls(self) -> TlsSettings:
        """How the servers are known."""


def link_problem(settings: KafkaLink) -> str:
    """Return "key: what is wrong", or ""."""
    if not settings.brokers:
        return "brokers: give at least one host:port"
    for broker in settings.brokers:
        host, colon, port = broker.rpartition(":")
        if not host or not colon or not port.isdecimal() or any(map(str.isspace, broker)):
            return f"brokers: {broker!r} is not host:port"
    if (settings.sasl != "none") != bool(settings.user and settings.password_file):
        return "sasl: give sasl, user and password_file together, or none of them"
    if settings.security != "tls" and settings.tls != TlsSettings():
        return 'tls: has no effect unless security is "tls"'
    return settings.tls.problem()


def link_options(settings: KafkaLink, home: Path) -> dict[str, Any]:
    """Return the client library's options; raises SettingsError or TlsError."""
    scheme = "SASL_" if settings.sasl != "none" else ""
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.brokers),
        "security_protocol": scheme + ("SSL" if settings.security == "tls" else "PLAINTEXT"),
    }
    if settings.security == "tls":
        options["ssl_context"] = client_context(settings.tls, home)
    if settings.sasl != "none":
        options |= {
            "sasl_mechanism": settings.sasl,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": read_secret(home, settings.password_file),
        }
    return options
