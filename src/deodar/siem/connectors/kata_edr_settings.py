"""Settings of the ``kata/edr`` connector, and how they are written on the wire.

The settings are those of KUMA's connector of that kind: a list of URLs, a certificate secret, an
external id, number of events, events fetch timeout, client timeout, filter. Zero means "as the
server has it", except for the client timeout, where it means 1,800 seconds. `start` and
`trust_first` are Deodar's own.
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.connectors.base import ConnectorSettings
from deodar.siem.connectors.start import WITH_HISTORY, Start

DEFAULT_CLIENT_TIMEOUT = 1800.0
DEFAULT_PORT = 443

_PIN = re.compile(r"[0-9a-f]{64}")

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class KataEdrSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="kata/edr"
):
    """One connector's settings; `check` says whether they fit together.

    Timeouts are in seconds. `secret` names a PEM file with certificate and key, in the
    collector's folder. The server is known by `pins` (SHA-256 of its certificate or of its
    authority's), by `ca` (a PEM file), by the certificate that it showed at first (`trust_first`),
    by nothing at all (`insecure`), or else by the system's authorities. `start` says which of the
    history is wanted, see `deodar.siem.connectors.start`.
    """

    urls: list[str]
    external_id: str
    secret: str = "secret.pem"  # noqa: S105 - the name of a file
    max_events: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    max_timeout: Seconds = 0.0
    client_timeout: Seconds = 0.0
    filter: str = ""
    pins: list[str] = msgspec.field(default_factory=list)
    ca: str = ""
    insecure: bool = False
    trust_first: bool = False
    start: str = WITH_HISTORY
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=512 << 20)] = 128 << 20

    @property
    def patience(self) -> float:
        """Seconds that one request may take in all."""
        return self.client_timeout or DEFAULT_CLIENT_TIMEOUT

    @property
    def largest_record(self) -> int:
        """Bytes of the largest answer that is taken."""
        return self.max_body_bytes

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        try:
            check(self, where="")
        except SettingsError as error:
            return str(error).removeprefix(": connector.")
        return super().problem()

    def servers(self) -> tuple[str, ...]:
        """Return the URLs in the form ``https://host:port``. Raises SettingsError."""
        return tuple(server_url(url) for url in self.urls)

    def since(self, now_us: int) -> int:
        """Return the time, µs since the epoch, before which events are not wanted; 0 for none.

        `now_us` is when the stream begins. Raises SettingsError.
        """
        return Start.read(self.start).since(now_us)


def check(settings: KataEdrSettings, *, where: str) -> KataEdrSettings:
    """Return the settings if they fit together; raises SettingsError that names file and key."""
    if not settings.urls:
        raise SettingsError(f"{where}: connector.urls: give at least one host:port")
    try:
        settings.servers()
        uuid.UUID(settings.external_id)
    except SettingsError as error:
        raise SettingsError(f"{where}: connector.urls: {error}") from error
    except ValueError as error:
        raise SettingsError(f"{where}: connector.external_id: not a UUID") from error
    try:
        Start.read(settings.start)
    except SettingsError as error:
        raise SettingsError(f"{where}: connector.start: {error}") from error
    _check_timeouts(settings, where)
    _check_trust(settings, where)
    return settings


def _check_timeouts(settings: KataEdrSettings, where: str) -> None:
    if settings.max_timeout >= settings.patience:
        raise SettingsError(
            f"{where}: connector.client_timeout ({settings.patience:g} s) must be greater than "
            f"connector.max_timeout ({settings.max_timeout:g} s), or every answer comes too late"
        )


def _check_trust(settings: KataEdrSettings, where: str) -> None:
    ways = [bool(settings.pins), bool(settings.ca), settings.trust_first, settings.insecure]
    if sum(ways) > 1:
        raise SettingsError(
            f"{where}: connector.pins: give one of pins, ca, trust_first and insecure, not several"
        )
    for pin in settings.pins:
        if not _PIN.fullmatch(pin.lower().replace(":", "")):
            raise SettingsError(
                f"{where}: connector.pins: {pin!r} is not the SHA-256 of a certificate "
                "(64 hexadecimal digits)"
            )


def server_url(text: str) -> str:
    """Return ``https://host:port`` for ``host[:port]``, ``[IPv6%zone]:port`` or an https URL.

    The port is 443 when none is given. Raises SettingsError that says what is wrong.
    """
    if not text or any(character.isspace() for character in text):
        raise SettingsError(f"{text!r}: an address is host:port and has no blanks in it")
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise SettingsError(f"{text!r} is not host:port: {error}") from error
    _check_parts(text, parts.scheme, parts.hostname, port)
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise SettingsError(f"{text!r}: give host:port alone; the path is added")
    host = parts.hostname or ""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _check_parts(text: str, scheme: str, host: str | None, port: int) -> None:
    if scheme != "https":
        raise SettingsError(f"{text!r}: only https is spoken, not {scheme}")
    if not host:
        raise SettingsError(f"{text!r} has no host name")
    if port == 0:
        raise SettingsError(f"{text!r}: port 0 cannot be connected to")


def iso_duration(seconds: float) -> str:
    """Return seconds as an ISO-8601 duration in whole or decimal seconds, such as ``PT0.5S``."""
    text = f"{seconds:.3f}".rstrip("0").rstrip(".")
    return f"PT{text}S"
