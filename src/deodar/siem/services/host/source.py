"""Where a service has its settings from: a file of its own, or the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deodar.siem.collector.home import settings_of

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.host.home import ServiceHome
    from deodar.siem.services.wire import SetSettings
    from deodar.siem.settings import CollectorSettings


class Source(Protocol):
    """Settings to run with."""

    def current(self) -> CollectorSettings | None:
        """Return those that it started with last; None before the first time."""

    def take(self, settings: SetSettings | None) -> CollectorSettings:
        """Return new ones, checked and not kept yet; `settings` are what the core sent, if any.

        Raises SettingsError, StateError.
        """

    def keep(self, settings: CollectorSettings) -> None:
        """Make settings that have proved themselves the ones to start with."""


class OwnFile:
    """Of a collector on the core's host: ``collector.toml``, which an administrator edits."""

    def __init__(self, home: StateDirectory) -> None:
        self._home = home

    def current(self) -> CollectorSettings:
        """Return what the file says; raises SettingsError."""
        return settings_of(self._home)

    def take(self, settings: SetSettings | None) -> CollectorSettings:
        """Return what the file says now; raises SettingsError."""
        return settings_of(self._home)

    def keep(self, settings: CollectorSettings) -> None:
        """Keep nothing: the file is there."""


class FromCore:
    """Of a paired service: versions of a resource set, kept in its folder."""

    def __init__(self, home: ServiceHome) -> None:
        self._home = home

    def current(self) -> CollectorSettings | None:
        """Return the version that it started with last; raises SettingsError."""
        return self._home.current()

    def take(self, settings: SetSettings | None) -> CollectorSettings:
        """Write a version down beside the present one; raises SettingsError, StateError."""
        if settings is None:
            raise ValueError("a paired service has its settings from the core")
        return self._home.stage(settings)

    def keep(self, settings: CollectorSettings) -> None:
        """Make a version the one to start with."""
        self._home.keep(settings.set_version)
