"""The folder of a paired service on its host.

::

    service.toml        which service of which core it is
    core-client.pem     certificate and key shown to the core
    core-authority.pem  the authority that the core's certificate must be of
    recovery            the proof for another certificate after a reset
    paired-by           SHA-256 of the token that was used up
    collector.toml      the settings that it started with last, from the core
    versions/N/         the files of that version of its resource set
    journal/ …          as in the folder of every collector
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from deodar.kit import settings as files
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError, StateError
from deodar.siem.collector.home import SETTINGS
from deodar.siem.connectors.kata_edr_settings import server_url
from deodar.siem.settings import load_collector

if TYPE_CHECKING:
    from deodar.siem.services.wire import Issued, SetSettings
    from deodar.siem.settings import CollectorSettings

FILE = "service.toml"
CERTIFICATE = "core-client.pem"
AUTHORITY = "core-authority.pem"
RECOVERY = "recovery"
PAIRED_BY = "paired-by"
VERSIONS = "versions"
_KEPT_VERSIONS = 2
DEFAULT_ROOT = Path("/var/lib/deodar")


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which service it is, where its core is, and on which port it answers itself (0: none)."""

    core: str
    id: str
    name: str = ""
    api_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


def default_folder(service_id: str) -> Path:
    """Return where a service's folder is if nothing else is said."""
    return DEFAULT_ROOT / f"collector-{service_id}"


def open_service(path: Path, core: str, service_id: str, api_port: int) -> ServiceHome:
    """Return the folder of a service, made if need be, with these settings written down.

    Raises SettingsError for what cannot be, StateError when it is another service's folder.
    """
    url, wanted = server_url(core), checked_id(service_id)
    folder = StateDirectory.create(path)
    known = files.load(path / FILE, ServiceSettings) if folder.has(FILE) else None
    if known is not None and known.id != wanted:
        raise StateError(f"{path} is the folder of the service {known.id}, not of {wanted}")
    settings = ServiceSettings(url, wanted, known.name if known else "", api_port)
    if settings != known:
        folder.write(FILE, files.dump(settings).encode())
    return ServiceHome(folder, settings)


def checked_id(text: str) -> str:
    """Return a service's id as it is written; raises SettingsError."""
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise SettingsError(f"--id: {text!r} is no service's id; copy the command whole") from error


class ServiceHome:
    """The folder, and what is done with the files in it."""

    def __init__(self, folder: StateDirectory, settings: ServiceSettings) -> None:
        self.folder = folder
        self.settings = settings

    @property
    def paired(self) -> bool:
        """Whether there is a certificate."""
        return self.folder.has(CERTIFICATE)

    def was_paired_by(self, digest: str) -> bool:
        """Whether this token, by its SHA-256, was the one that was used up."""
        return self.folder.has(PAIRED_BY) and self.folder.read(PAIRED_BY).decode() == digest

    def keep_certificate(self, issued: Issued, key: bytes, token_digest: str = "") -> None:
        """Write down a certificate with its key, and the proof for the next one."""
        self.folder.write_secret(RECOVERY, issued.recovery.encode())
        self.folder.write(AUTHORITY, issued.authority.encode())
        self.folder.write_secret(CERTIFICATE, key + issued.certificate.encode())
        if token_digest:
            self.folder.write(PAIRED_BY, token_digest.encode())
        if issued.name != self.settings.name:
            self.settings = msgspec.structs.replace(self.settings, name=issued.name)
            self.folder.write(FILE, files.dump(self.settings).encode())

    def current(self) -> CollectorSettings | None:
        """Return the settings that it started with last, None before the first time.

        Raises SettingsError when they are damaged.
        """
        path = self.folder.path / SETTINGS
        return load_collector(path) if path.exists() else None

    def stage(self, settings: SetSettings) -> CollectorSettings:
        """Write a version of the set beside the present one and return it, checked.

        Raises SettingsError for what this release cannot run, StateError when the disk refuses.
        """
        folder = self._version(settings.version)
        if settings.folder != f"{VERSIONS}/{settings.version}":
            raise SettingsError(f"the core wants files in {settings.folder!r}, which cannot be")
        StateDirectory.create(self.folder.path / VERSIONS)
        staged = StateDirectory.create(folder)
        for name, content in settings.files.items():
            if Path(name).name != name:
                raise SettingsError(f"{name!r} is no plain name of a file")
            staged.write_secret(name, content)
        staged.write_secret(SETTINGS, settings.settings.encode())
        return load_collector(folder / SETTINGS)

    def keep(self, version: int) -> None:
        """Make a staged version the one to start with, and drop old ones."""
        text = (self._version(version) / SETTINGS).read_bytes()
        self.folder.write_secret(SETTINGS, text)
        numbers = sorted(
            int(one.name)
            for one in (self.folder.path / VERSIONS).iterdir()
            if one.name.isdecimal() and int(one.name) != version
        )
        for old in numbers[: -_KEPT_VERSIONS + 1]:
            shutil.rmtree(self._version(old), ignore_errors=True)

    def _version(self, version: int) -> Path:
        return self.folder.path / VERSIONS / str(version)
