"""Collectors in folders of the core's own host, as services of the same kind.

They are made by ``deodar siem collector add`` and keep their settings in their folders;
certificates are put there by the core's commands, so none of them needs a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.kit.errors import SettingsError, StateError
from deodar.kit.logging import logger
from deodar.siem.collector.home import names, open_home, settings_of
from deodar.siem.errors import NotKnown, NotPossible
from deodar.tls.certificates import issue_client, make_request
from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.core import ServiceCore
    from deodar.siem.services.service import Service
    from deodar.siem.settings import CoreLink
    from deodar.tls.certificates import Pair

_DAYS = 825
_log = logger("siem.services")


def issue_for_core(authority: Pair, home: StateDirectory, name: str, link: CoreLink) -> bytes:
    """Put a certificate for the core into a collector's folder and return it (PEM)."""
    request, key = make_request(f"collector {name}")
    certificate = issue_client(authority, request, f"collector {name}", days=_DAYS)
    home.write_secret(link.certificate, key + certificate)
    home.write(link.authority, authority.certificate)
    return certificate


def adopt(core: ServiceCore, name: str) -> Service | None:
    """Make a collector's folder known as a service, with the certificate in it.

    Returns None for one that was deleted or cannot be read, which is logged.
    """
    try:
        home = open_home(core.home.path, name)
        settings = settings_of(home)
        certificate = home.read(settings.core.certificate)
        if core.pairing.was_refused(certificate):
            return None
        service = core.register.adopt(settings.service_id, name, "collector", settings.tenant_id)
        core.pairing.name_certificate(service.id, certificate)
    except (SettingsError, StateError, CertificateError, NotPossible) as error:
        _log.warning("a collector's folder is no service", collector=name, reason=str(error))
        return None
    return service


def adopt_all(core: ServiceCore) -> None:
    """Make every collector's folder known that is not: those of an earlier release, say."""
    known = {service.id for service in core.register.list()}
    for name in names(core.home.path):
        if not _is_known(core.home.path, name, known):
            adopt(core, name)


def reissue(core: ServiceCore, authority: Pair, service: Service) -> None:
    """Put another certificate into the folder of a local service; raises NotKnown, StateError."""
    for name in names(core.home.path):
        home = open_home(core.home.path, name)
        settings = settings_of(home)
        if settings.service_id == service.id:
            pem = issue_for_core(authority, home, name, settings.core)
            core.pairing.name_certificate(service.id, pem)
            return
    raise NotKnown(f"the folder of {service.name} is gone; nothing can be put into it")


def _is_known(siem: Path, name: str, known: set[str]) -> bool:
    try:
        return settings_of(open_home(siem, name)).service_id in known
    except (SettingsError, StateError):
        return False
