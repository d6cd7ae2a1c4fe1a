"""The parts of the core that keep services, opened together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.siem.errors import NotKnown
from deodar.siem.services import resource_set
from deodar.siem.services.addresses import own_name, service_url
from deodar.siem.services.database import FILE, Database, sqlite_url
from deodar.siem.services.gate import Gate
from deodar.siem.services.pairing import Pairing
from deodar.siem.services.register import Register
from deodar.siem.services.resource_set import Identity
from deodar.siem.services.sealing import sealer_of
from deodar.siem.services.sets import Sets
from deodar.siem.services.watch import Watch
from deodar.siem.services.wire import SetSettings
from deodar.tls.certificates import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.kit.directory import StateDirectory
    from deodar.siem.settings import SiemSettings

__all__ = ["ServiceCore", "opened", "own_name"]


@dataclass(frozen=True)
class ServiceCore:
    """Sets, services, their certificates and what is known of them, of one SIEM's folder."""

    home: StateDirectory
    settings: SiemSettings
    database: Database
    sets: Sets
    register: Register
    pairing: Pairing
    gate: Gate
    watch: Watch

    def settings_of(self, service_id: str) -> SetSettings:
        """Return what a service shall run with; raises NotKnown for one without a set."""
        service = self.register.find(service_id)
        if not service.set_id:
            raise NotKnown(f"{service.name} keeps its settings itself")
        version = self.sets.version(service.set_id, service.wanted_version)
        folder = f"versions/{version.version}"
        identity = Identity(
            service.name,
            service.id,
            service.tenant_id,
            service_url(self.settings),
            version.version,
            folder,
        )
        text = resource_set.compose(version.settings, identity, where=version.name)
        files = self.sets.contents(service.set_id, version)
        return SetSettings(version.version, text, folder, files)


@contextlib.contextmanager
def opened(home: StateDirectory, settings: SiemSettings) -> Iterator[ServiceCore]:
    """Open the database of services in a SIEM's folder; raises ControlDataError, StateError."""
    url = settings.services.database or sqlite_url(home.path / FILE)
    with contextlib.closing(Database(url)) as database:
        authority = Pair(home.read("authority.pem"), home.read("authority.key"))
        register = Register(database)
        pairing = Pairing(database, authority, settings.services)
        yield ServiceCore(
            home,
            settings,
            database,
            Sets(database, sealer_of(home)),
            register,
            pairing,
            Gate(authority.certificate, pairing),
            Watch(database, register, settings.services, settings.alerts),
        )
