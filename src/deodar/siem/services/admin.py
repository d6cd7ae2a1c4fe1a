"""What administrators do with services, the same for the command line and the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from deodar.siem.errors import NotPossible
from deodar.siem.services import local
from deodar.siem.services.addresses import install_command
from deodar.siem.services.database import now_us
from deodar.siem.services.service import Row, as_row, events_query
from deodar.tls.certificates import Pair, fingerprint

if TYPE_CHECKING:
    from deodar.siem.services.core import ServiceCore
    from deodar.siem.services.pairing import Invitation


class Made(msgspec.Struct, frozen=True):
    """A service with the command that installs it; token and command are shown this once."""

    name: str
    id: str
    token: str
    token_expires_us: int
    command: str


class Reset(msgspec.Struct, frozen=True):
    """What follows a reset: how the service gets the next certificate."""

    name: str
    id: str
    how: str
    command: str = ""


class EventsOf(msgspec.Struct, frozen=True):
    """The search for what a service brought."""

    name: str
    id: str
    sql: str


def rows(core: ServiceCore, status: str = "") -> list[Row]:
    """Return the table of active services, those of one colour if `status` is given."""
    now, silent = now_us(), core.settings.services.silent_seconds
    found = [as_row(one, now, silent) for one in core.register.list()]
    return [row for row in found if status in ("", row.status)]


def row(core: ServiceCore, name: str) -> Row:
    """Return one service's row; raises NotKnown."""
    return as_row(core.register.find(name), now_us(), core.settings.services.silent_seconds)


def add(core: ServiceCore, name: str, set_name: str) -> Made:
    """Make a service of a set, and a token to pair it; raises NotKnown, NotPossible."""
    service = core.register.add(name, set_name, core.settings.tenant_id)
    return _made(core, core.pairing.invite(service.id))


def token(core: ServiceCore, name: str) -> Made:
    """Make another token for a service, void those before; raises NotKnown, NotPossible."""
    return _made(core, core.pairing.invite(name))


def reset_certificate(core: ServiceCore, name: str, *, new_token: bool) -> Reset:
    """Refuse a service's certificate from now on; raises NotKnown, NotPossible."""
    service = core.register.find(name)
    if service.kind != "collector":
        raise NotPossible(f"{service.name} is the core's own and has no certificate")
    invitation = core.pairing.reset(service.id, new_token=new_token)
    if invitation is not None:
        made = _made(core, invitation)
        return Reset(made.name, made.id, "by the new token: run the command there", made.command)
    if service.local:
        authority = Pair(core.home.read("authority.pem"), core.home.read("authority.key"))
        local.reissue(core, authority, service)
        return Reset(service.name, service.id, "from its folder, with its next report")
    return Reset(service.name, service.id, "by its recovery secret, with its next report")


def events(core: ServiceCore, name: str) -> EventsOf:
    """Return the search for what a service brought; raises NotKnown."""
    service = core.register.find(name)
    return EventsOf(service.name, service.id, events_query(service))


def _made(core: ServiceCore, invitation: Invitation) -> Made:
    pin = fingerprint(core.home.read("authority.pem"))
    command = install_command(core.settings, pin, invitation)
    return Made(
        invitation.name, invitation.service_id, invitation.token, invitation.expires_us, command
    )
