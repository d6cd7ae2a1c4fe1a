"""What a new node has to know, in one file: keys, certificates, settings, its name.

Nodes behind one name are one server to agents and external systems: they have the same authority,
the same certificate, the same id, and the same key for continuation tokens and the audit trail. The
file is as secret as those keys: it is readable by its owner alone, and to be deleted after use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
import zstandard

from deodar import __version__
from deodar.edr import installation as installations
from deodar.edr import settings as edr_settings
from deodar.edr.errors import NodeProblem
from deodar.edr.nodes.register import check_name
from deodar.edr.settings import EdrSettings
from deodar.kit import settings as files
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.edr.installation import Installation

FORMAT: Final = "deodar-edr-node-1"
LARGEST: Final = 4 << 20
_SECRET: Final = ("authority.key", "server.key", "token.key")
_OPEN: Final = ("authority.pem", "server.pem", "server.id")
_SUFFIX: Final = ".key"


class Bundle(msgspec.Struct, frozen=True):
    """The file's content."""

    format: str
    version: str
    name: str
    settings: str
    files: dict[str, bytes]


def make(installation: Installation, name: str) -> Bundle:
    """Return what a node of a name has to know to stand beside this one; raises NodeProblem."""
    check_name(name)
    settings, directory = installation.settings, installation.directory
    if not settings.ingest.stream.urls:
        raise NodeProblem(
            f"{directory.path / installations.SETTINGS} has no ingest.stream.urls: this server is "
            "alone; see docs/how-to/several-servers.md"
        )
    stream = settings.ingest.stream
    own = [path for path in (stream.ca, stream.certificate) if path and "/" not in path]
    return Bundle(
        FORMAT,
        __version__,
        name,
        files.dump(settings),
        {file: directory.read(file) for file in (*_SECRET, *_OPEN, *own)},
    )


def write(bundle: Bundle, path: Path) -> None:
    """Write a bundle into a file that is not there yet, readable by its owner alone.

    Raises NodeProblem.
    """
    data = zstandard.compress(msgspec.msgpack.encode(bundle))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise NodeProblem(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> Bundle:
    """Return the bundle in a file; raises NodeProblem."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise NodeProblem(f"cannot read {path}: {error.strerror}") from error
    try:
        if len(data) > LARGEST or not 0 < zstandard.frame_content_size(data) <= LARGEST:
            raise NodeProblem(f"{path} is no bundle of deodar edr node add: it is too large")
        bundle = msgspec.msgpack.decode(zstandard.decompress(data), type=Bundle)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise NodeProblem(f"{path} is no bundle of deodar edr node add: {error}") from error
    if bundle.format != FORMAT:
        raise NodeProblem(f"{path} was made by {bundle.version[:32]}; make it again with this one")
    check_name(bundle.name)
    return bundle


def unpack(
    bundle: Bundle, folder: Path, *, host: str = "", port: int | None = None
) -> Installation:
    """Make a node's folder and return it opened; `host` and `port` are where it listens.

    Raises NodeProblem when there is a server already, SettingsError, StateError.
    """
    settings = files.parse(bundle.settings, EdrSettings, where="the bundle's settings")
    changed = {"host": host or settings.host, "port": settings.port if port is None else port}
    settings = edr_settings.check(msgspec.structs.replace(settings, **changed))
    missing = [name for name in (*_SECRET, *_OPEN) if name not in bundle.files]
    if missing:
        raise NodeProblem(f"the bundle has no {', '.join(missing)}")
    directory = StateDirectory.create(folder)
    if directory.has(installations.SETTINGS):
        raise NodeProblem(f"there is an EDR server in {directory.path} already")
    for name, data in bundle.files.items():
        if "/" in name or name.startswith("."):
            raise NodeProblem(f"the bundle has a file of the name '{name[:64]}'")
        secret = name.endswith(_SUFFIX) or name == settings.ingest.stream.certificate
        directory.write_secret(name, data) if secret else directory.write(name, data)
    directory.write(installations.NODE_NAME, bundle.name.encode())
    text = files.dump(settings, comment="Settings of the EDR server; see docs/reference.")
    directory.write(installations.SETTINGS, text.encode())  # last: it marks the folder as complete
    return installations.open_(folder)
