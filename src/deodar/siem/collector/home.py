"""A collector's folder: ``DIR/collectors/NAME`` of the SIEM's state folder.

::

    collector.toml      settings
    secret.pem          certificate and key shown to the EDR server
    core-client.pem     certificate and key shown to the core
    core-authority.pem  the authority that the core's certificate must be of
    journal/            answers that are not delivered everywhere yet, and the token
    dead-letters/       what could not be normalized or stored
    status.json         the last status
    control.sock        while it runs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.siem.settings import check_name, load_collector

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.siem.settings import CollectorSettings

SETTINGS = "collector.toml"


def collector_folder(siem: Path, name: str) -> Path:
    """Return where a collector's folder is, whether it exists or not; raises SettingsError."""
    return siem / "collectors" / check_name(name)


def open_home(siem: Path, name: str) -> StateDirectory:
    """Return an existing collector's folder; raises StateError that names those that exist."""
    folder = collector_folder(siem, name)
    if not (folder / SETTINGS).is_file():
        known = ", ".join(names(siem)) or "none"
        raise StateError(f"there is no collector {name} in {siem}; there are: {known}")
    return StateDirectory(folder.absolute())


def names(siem: Path) -> list[str]:
    """Return the names of all collectors of a SIEM folder, sorted."""
    return sorted(path.parent.name for path in (siem / "collectors").glob(f"*/{SETTINGS}"))


def settings_of(home: StateDirectory) -> CollectorSettings:
    """Return a collector's settings; raises SettingsError."""
    return load_collector(home.path / SETTINGS)
