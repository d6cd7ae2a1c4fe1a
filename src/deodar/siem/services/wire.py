"""What services and the core tell each other, as JSON over TLS on the core's port.

::

    POST /services/v1/ID/pair      the one-time token; a certificate comes back
    POST /services/v1/ID/reissue   the recovery secret, after a reset; a certificate comes back
    POST /services/v1/ID/renew     by the certificate; another one comes back
    GET  /services/v1/ID/settings  by the certificate; settings and files of the version to run
    POST /services/v1/ID/report    by the certificate, every few seconds; orders come back

An answer that is no success has the form ``{"error": text}``: 401 for a certificate that is not
known or no longer good, 403 for a token or proof, 410 for a service that was deleted.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

PREFIX = "/services/v1/"
CORE_NAME = "deodar core"
"""The subject of the certificate that the core shows to services."""
LINES_AT_ONCE = 200
LONGEST_LINE = 2_000
_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Short = Annotated[str, msgspec.Meta(max_length=256)]
_Number = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Version = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class Host(msgspec.Struct, frozen=True):
    """What a service says of where it runs; only for showing."""

    fqdn: _Short = ""
    version: _Short = ""
    api_port: _Port = 0


class PairRequest(msgspec.Struct, frozen=True):
    """The first contact: the secret of the token, a certificate request (PEM), the host."""

    token: _Short
    request: _Text
    host: Host = Host()


class ReissueRequest(msgspec.Struct, frozen=True):
    """Asks for a certificate after a reset; `recovery` came with the last certificate."""

    recovery: _Short
    request: _Text


class RenewRequest(msgspec.Struct, frozen=True):
    """Asks for a certificate for a new key, before the present one ends."""

    request: _Text


class Issued(msgspec.Struct, frozen=True):
    """A certificate and its authority's (PEM), and the proof for the next one after a reset."""

    name: str
    certificate: str
    authority: str
    recovery: str


class SetSettings(msgspec.Struct, frozen=True):
    """What a service shall run with: ``collector.toml``, and its files below `folder`."""

    version: int
    settings: str
    folder: str
    files: dict[str, bytes]


class Partition(msgspec.Struct, frozen=True):
    """A file system that a service writes to; bytes. `state` for the one with its folder."""

    path: _Short
    free: _Number
    total: _Number
    state: bool = False


class Measures(msgspec.Struct, frozen=True):
    """What conditions are made of. Rising ones count from the process's start.

    `lost`: events given up or refused by destinations. `buffer_bytes`: what waits on disk.
    `enrichment_queue`: lookups that were not made, since too many others waited.
    `log_errors`: lines of the level error. The storage alone has searches, failed inserts and a
    queue.
    """

    lost: _Number = 0
    buffer_bytes: _Number = 0
    enrichment_errors: _Number = 0
    enrichment_queue: _Number = 0
    log_errors: _Number = 0
    searches: _Number = 0
    failed_inserts: _Number = 0
    distribution_queue: _Number = 0
    partitions: Annotated[tuple[Partition, ...], msgspec.Meta(max_length=16)] = ()


class LogLine(msgspec.Struct, frozen=True):
    """One line of a service's log, numbered from its start; `time` is s since the epoch."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    time: float
    level: _Short
    text: Annotated[str, msgspec.Meta(max_length=LONGEST_LINE)]


class ServiceReport(msgspec.Struct, frozen=True):
    """How a service fares. `boot` is new with each start of its process.

    `running` is the version of the set that it runs with, 0 for none; `refused` one that it could
    not take, with the reason. `reloads` is the last order to reload that was carried out.
    """

    boot: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    uptime: _Number
    host: Host
    colour: Literal["green", "yellow"]
    reason: _Text = ""
    running: _Version = 0
    refused: _Version = 0
    refused_reason: _Text = ""
    reloads: _Version = 0
    measures: Measures = Measures()
    lines: Annotated[tuple[LogLine, ...], msgspec.Meta(max_length=LINES_AT_ONCE)] = ()


class Orders(msgspec.Struct, frozen=True):
    """The answer to a report: what the service is to do and to be.

    `version` and `reloads` are those to have, `log_from` the next line of the log to send,
    `seconds` how long to wait until the next report.
    """

    version: int
    reloads: int
    restart: bool
    debug: bool
    disabled: bool
    log_from: int
    seconds: float


def hash_of(secret: str) -> str:
    """Return what is kept of a secret that is long and random."""
    return hashlib.sha256(secret.encode()).hexdigest()
