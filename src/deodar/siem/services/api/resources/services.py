"""Services: the active ones, and their orders."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import PlainTextResponse

from deodar.siem.services import admin
from deodar.siem.services.api.access import ADMINISTRATOR, VIEWER, CoreOf
from deodar.siem.services.api.models import Asked, Told
from deodar.siem.services.api.problems import documented
from deodar.siem.services.asking import ask

router = APIRouter(prefix="/services", tags=["services"])

Name = Annotated[str, Path(max_length=64, description="The service's name or id.")]
Colour = Literal["blue", "green", "yellow", "red", "grey"]
NAMED = documented(404, 409)


class Alert(Told):
    """A condition that holds; `since_us` is µs since the epoch."""

    name: str
    since_us: int
    reason: str


class Service(Told):
    """A row of the table of active services; times are µs since the epoch, 0 for never."""

    status: Colour
    """blue: never paired; green; yellow: see `reason`; red: not reachable; grey: disabled."""
    reason: str
    kind: Literal["collector", "storage"]
    name: str
    version: str
    """The release that it runs."""
    tenant_id: str
    fqdn: str
    address: str
    api_port: int
    uptime: int
    """Seconds; 0 for one that does not run."""
    created_us: int
    paired_us: int
    reported_us: int
    id: str
    set_id: str
    """Its resource set; empty for one that keeps its settings itself."""
    local: bool
    """Whether it keeps its settings itself, on the core's host."""
    debug: bool
    set_version: int
    """The version of its set that it runs with."""
    wanted_version: int
    alerts: list[Alert]


class NewService(Asked):
    """A service to be."""

    name: str
    resource_set: str
    """The set that it is made of, by name or id."""


class Made(Told):
    """A service with the command that installs it; both secrets are shown this once."""

    name: str
    id: str
    token: str
    token_expires_us: int
    command: str


class ResetWish(Asked):
    """How a certificate is reset."""

    new_token: bool = False
    """The host is not trusted: only a new token gets the next certificate."""


class Reset(Told):
    """How the service gets its next certificate; `command` with a new token."""

    name: str
    id: str
    how: str
    command: str


class DebugWish(Asked):
    """Whether a service logs every request."""

    on: bool


class LogLine(Told):
    """A line of a service's log; `time` is seconds since the epoch."""

    number: int
    time: float
    level: str
    text: str


class EventsOf(Told):
    """The search for what a service brought."""

    name: str
    id: str
    sql: str


@router.get("", dependencies=VIEWER)
def list_services(core: CoreOf, status: Colour | None = None) -> list[Service]:
    """Return the active services in the order in which they were made."""
    return [Service.model_validate(row) for row in admin.rows(core, status or "")]


@router.post("", status_code=201, dependencies=ADMINISTRATOR, responses=NAMED)
def add_service(core: CoreOf, wish: NewService) -> Made:
    """Make a service of a resource set, with the command that pairs and installs it."""
    return Made.model_validate(admin.add(core, wish.name, wish.resource_set))


@router.get("/{name}", dependencies=VIEWER, responses=documented(404))
def show_service(core: CoreOf, name: Name) -> Service:
    """Return one service."""
    return Service.model_validate(admin.row(core, name))


@router.delete("/{name}", status_code=204, dependencies=ADMINISTRATOR, responses=NAMED)
def delete_service(core: CoreOf, name: Name) -> None:
    """Forget a service: its certificate is refused, and it ends with its next report."""
    core.register.delete(name)


@router.post("/{name}/restart", dependencies=ADMINISTRATOR, responses=NAMED)
def restart_service(core: CoreOf, name: Name) -> Service:
    """Have its process start again, with the newest version of its set."""
    return _row(core, core.register.restart(name).id)


@router.post("/{name}/reload", dependencies=ADMINISTRATOR, responses=NAMED)
def reload_service(core: CoreOf, name: Name) -> Service:
    """Have it take the newest version of its set in the running process."""
    return _row(core, core.register.reload(name).id)


@router.post("/{name}/disable", dependencies=ADMINISTRATOR, responses=NAMED)
def disable_service(core: CoreOf, name: Name) -> Service:
    """Have it stop its work and keep what it has."""
    return _row(core, core.register.disable(name, disabled=True).id)


@router.post("/{name}/enable", dependencies=ADMINISTRATOR, responses=NAMED)
def enable_service(core: CoreOf, name: Name) -> Service:
    """Have it go on."""
    return _row(core, core.register.disable(name, disabled=False).id)


@router.put("/{name}/debug", dependencies=ADMINISTRATOR, responses=NAMED)
def set_debug(core: CoreOf, name: Name, wish: DebugWish) -> Service:
    """Have it log every request, or no longer."""
    return _row(core, core.register.debug(name, on=wish.on).id)


@router.post("/{name}/token", dependencies=ADMINISTRATOR, responses=NAMED)
def make_token(core: CoreOf, name: Name) -> Made:
    """Make a new pairing token; the one before is void."""
    return Made.model_validate(admin.token(core, name))


@router.post("/{name}/reset-certificate", dependencies=ADMINISTRATOR, responses=NAMED)
def reset_certificate(core: CoreOf, name: Name, wish: ResetWish) -> Reset:
    """Refuse its certificate at once; the answer says how it gets the next one."""
    done = admin.reset_certificate(core, name, new_token=wish.new_token)
    return Reset.model_validate(done)


@router.get("/{name}/log", dependencies=VIEWER, responses=documented(404))
def show_log(
    core: CoreOf, name: Name, lines: Annotated[int, Query(ge=1, le=2000)] = 100
) -> list[LogLine]:
    """Return the last lines of its log, the oldest first."""
    found = core.watch.lines(core.register.find(name).id, lines)
    return [LogLine.model_validate(line) for line in found]


@router.get(
    "/{name}/metrics",
    dependencies=VIEWER,
    responses=documented(404, 409, 502),
    response_class=PlainTextResponse,
)
def metrics_of(core: CoreOf, name: Name) -> PlainTextResponse:
    """Return its metrics in Prometheus's form, as it tells them on its API port."""
    answer = ask(core.home, core.register.find(name), "metrics")
    return PlainTextResponse(answer.text, media_type=answer.headers["content-type"])


@router.get("/{name}/events", dependencies=VIEWER, responses=documented(404))
def events_of(core: CoreOf, name: Name) -> EventsOf:
    """Return the search for the events that it brought."""
    return EventsOf.model_validate(admin.events(core, name))


def _row(core: CoreOf, id_: str) -> Service:
    return Service.model_validate(admin.row(core, id_))
