"""The server's folder: what `deodar edr init` makes, and what the other commands read.

========================  ==================================================================
``edr.toml``              settings
``authority.pem, .key``   the server's own authority, which issues the agents' certificates
``server.pem, .key``      the server's certificate
``token.key``             signs continuation tokens
``server.id``             a UUID that agents are told
``node.name``             of one of several servers that share a log: its name among them
``edr.db``                external systems, endpoints, enrolment tokens (unless elsewhere)
``store/``                the event log (unless elsewhere)
``dead-letters/``         what could not become an event
``fetched/``              files that agents fetched, by their SHA-256
``scans/``                files that wait to be scanned
``address``               while it runs: the URL under which the server can be reached
``control.sock``          while it runs: local commands
========================  ==================================================================
"""

from __future__ import annotations

import secrets
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.edr import audit_chain
from deodar.edr import settings as edr_settings
from deodar.edr.database import Database, sqlite_url
from deodar.edr.errors import EdrError
from deodar.edr.settings import EdrSettings
from deodar.edr.tokens import KEY_BYTES
from deodar.kit import settings as files
from deodar.kit.directory import StateDirectory
from deodar.tls import certificates
from deodar.tls.certificates import Pair

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "edr.toml"
ADDRESS = "address"
NODE_NAME = "node.name"
MADE_BY = "deodar edr init"


@dataclass(frozen=True)
class Installation:
    """An opened folder with its settings, keys and certificates."""

    directory: StateDirectory
    settings: EdrSettings
    authority: Pair
    server: Pair
    token_key: bytes
    server_id: str

    @property
    def pin(self) -> str:
        """SHA-256 of the authority's certificate, by which agents know this server."""
        return certificates.fingerprint(self.authority.certificate)

    @property
    def node_name(self) -> str:
        """The server's name among several that share a log: the host's, if nothing else is said."""
        if self.directory.has(NODE_NAME):
            return self.directory.read(NODE_NAME).decode("utf-8", "replace").strip()
        return socket.gethostname()[:64]

    @property
    def store_url(self) -> str:
        """Where the event log is."""
        return self.settings.store or f"chdb://{self.directory.path / 'store'}"

    @property
    def url(self) -> str:
        """The address that agents are told: while the server runs, with the real port."""
        if self.directory.has(ADDRESS):
            return self.directory.read(ADDRESS).decode().strip()
        return self.url_at(self.settings.port)

    def url_at(self, port: int) -> str:
        """Return the server's URL at a port."""
        name = self.settings.names[0]
        return f"https://[{name}]:{port}" if ":" in name else f"https://{name}:{port}"

    def database(self) -> Database:
        """Open the database of control data; raises ControlDataError."""
        default = sqlite_url(self.directory.path / "edr.db")
        key = audit_chain.derive_key(self.token_key)
        return Database(self.settings.database or default, key)


def init(path: Path, settings: EdrSettings) -> Installation:
    """Make a server's folder and return it opened.

    Raises EdrError when there is one already, SettingsError, StateError or CertificateError.
    """
    edr_settings.check(settings)
    directory = StateDirectory.create(path)
    if directory.has(SETTINGS):
        raise EdrError(f"there is an EDR server in {directory.path} already")
    authority = certificates.make_authority(f"Deodar EDR {settings.names[0]}")
    _write_pair(directory, "authority", authority)
    _write_pair(directory, "server", certificates.issue_server(authority, settings.names))
    directory.write_secret("token.key", secrets.token_bytes(KEY_BYTES))
    directory.write("server.id", str(uuid.uuid4()).encode())
    text = files.dump(settings, comment="Settings of the EDR server; see docs/reference.")
    directory.write(SETTINGS, text.encode())  # last: it marks the folder as complete
    return open_(path)


def open_(path: Path) -> Installation:
    """Return an existing folder, opened; raises StateError or SettingsError."""
    directory = StateDirectory.open(path, made_by=MADE_BY)
    if not directory.has(SETTINGS):
        raise EdrError(f"there is no EDR server in {directory.path}; make it with: {MADE_BY}")
    settings = files.load(directory.path / SETTINGS, EdrSettings)
    key = directory.read("token.key")
    if len(key) != KEY_BYTES:
        raise EdrError(f"{directory.path / 'token.key'} is damaged: it needs {KEY_BYTES} bytes")
    return Installation(
        directory=directory,
        settings=edr_settings.check(settings),
        authority=_read_pair(directory, "authority"),
        server=_read_pair(directory, "server"),
        token_key=key,
        server_id=directory.read("server.id").decode().strip(),
    )


def _write_pair(directory: StateDirectory, name: str, pair: Pair) -> None:
    directory.write(f"{name}.pem", pair.certificate)
    directory.write_secret(f"{name}.key", pair.key)


def _read_pair(directory: StateDirectory, name: str) -> Pair:
    return Pair(directory.read(f"{name}.pem"), directory.read(f"{name}.key"))
