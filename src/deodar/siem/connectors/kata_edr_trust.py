"""How the ``kata/edr`` connector knows a server: by pin, authority, first use, or not at all."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from deodar.kit.errors import StateError
from deodar.kit.logging import logger
from deodar.siem.connectors.trusted import Trusted
from deodar.tls.contexts import first_use_client, pinned_client, unverified_client

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory
    from deodar.siem.connectors.kata_edr_settings import KataEdrSettings
    from deodar.tls.certificates import Pair

_log = logger("siem.connector")


def server_contexts(
    settings: KataEdrSettings, pair: Pair, home: StateDirectory
) -> dict[str, ssl.SSLContext]:
    """Return for each server the TLS context that shows `pair` and knows it as the settings say.

    `home` is where relative file names are. Raises TlsError for unusable pins or certificates,
    StateError when a file cannot be read, SiemError when that of trusted servers cannot.
    """
    if settings.trust_first:
        trusted = Trusted(home)
        return {url: _on_first_use(url, trusted, pair) for url in settings.servers()}
    return dict.fromkeys(settings.servers(), _context(settings, pair, home))


def _context(settings: KataEdrSettings, pair: Pair, home: StateDirectory) -> ssl.SSLContext:
    if settings.insecure:
        return unverified_client(pair)
    if settings.pins:
        return pinned_client(settings.pins, pair)
    if settings.ca:
        return pinned_client(home.read(settings.ca), pair)
    context = ssl.create_default_context()
    context.load_cert_chain(home.path / settings.secret)
    return context


def _on_first_use(url: str, trusted: Trusted, pair: Pair) -> ssl.SSLContext:
    def learned(digest: str) -> None:
        try:
            trusted.learn(url, digest)
        except StateError as error:
            raise ssl.SSLCertVerificationError(
                1, f"nobody is trusted, for the certificate cannot be kept: {error}"
            ) from error
        _log.warning("this server is trusted from now on", url=url, sha256=digest)

    return first_use_client(trusted.of(url), learned, pair)
