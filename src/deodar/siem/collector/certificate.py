"""A new certificate for a collector to show to its EDR server: made here, or an own one.

KUMA's button gives certificate and key as cert.pem and key.pem in a certificate.zip; both that
archive and PEM files are taken.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from deodar.kit.errors import SettingsError
from deodar.tls.certificates import Pair, load_pair, self_signed

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.kit.directory import StateDirectory

BEFORE = "secret.before.pem"
_LARGEST = 1 << 20
_NAMES = ("cert.pem", "key.pem")


def make(name: str) -> Pair:
    """Return a new certificate with its key, as `collector add` makes it."""
    return self_signed(f"deodar-{name}")


def read(certificate: Path, key: Path | None) -> Pair:
    """Return an own certificate with its key out of one or two files.

    Raises SettingsError when they cannot be read, CertificateError when they do not fit.
    """
    if key is None and zipfile.is_zipfile(certificate):
        return load_pair(_unpacked(certificate))
    return load_pair(b"\n".join(_content(path) for path in (certificate, key) if path is not None))


def replace(home: StateDirectory, name: str, pair: Pair) -> None:
    """Put a certificate in the place of the former one, of which a copy is kept."""
    if home.has(name):
        home.write_secret(BEFORE, home.read(name))
    home.write_secret(name, pair.pem)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error


def _unpacked(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = []
            for name in _NAMES:
                with archive.open(name) as file:
                    parts.append(file.read(_LARGEST))
            return b"\n".join(parts)
    except (KeyError, OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise SettingsError(
            f"{path}: not an archive with {' and '.join(_NAMES)}: {error}"
        ) from error
