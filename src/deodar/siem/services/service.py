"""A service as it is known to the core, and the colour that follows from it.

====== =====================================================================================
blue   made, and never heard of
green  at work
yellow at work, with something that an administrator should look at; the reason says what
red    not reachable: its last report is too old
grey   disabled
====== =====================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from deodar.siem.services.tables import services as table
from deodar.siem.services.wire import Host, ServiceReport

if TYPE_CHECKING:
    from typing import Any

Colour = Literal["blue", "green", "yellow", "red", "grey"]
Kind = Literal["collector", "storage"]


class Alert(msgspec.Struct, frozen=True):
    """A condition that holds: its name, since when (µs), and what was seen."""

    name: str
    since_us: int
    reason: str


class Service(msgspec.Struct, frozen=True):
    """One row; see `deodar.siem.services.tables`. `report` is None until the first one."""

    id: str
    name: str
    kind: Kind
    set_id: str
    local: bool
    tenant_id: str
    created_us: int
    paired_us: int
    disabled_us: int
    debug: bool
    wanted_version: int
    reloads: int
    restart_boot: str
    address: str
    reported_us: int
    report: ServiceReport | None
    alerts: tuple[Alert, ...]


class Row(msgspec.Struct, frozen=True):
    """A row of the table of active services; µs since the epoch, `uptime` in seconds."""

    status: Colour
    reason: str
    kind: str
    name: str
    version: str
    tenant_id: str
    fqdn: str
    address: str
    api_port: int
    uptime: int
    created_us: int
    paired_us: int
    reported_us: int
    id: str
    set_id: str
    local: bool
    debug: bool
    set_version: int
    wanted_version: int
    alerts: tuple[Alert, ...]


COLUMNS = (
    *(table.c[name] for name in Service.__struct_fields__ if name != "report"),
    table.c.reported,
)


def as_service(row: Any) -> Service:
    """Return a row of `COLUMNS` as a value."""
    values = dict(row._mapping)  # SQLAlchemy's public name for it
    reported = values.pop("reported")
    alerts = msgspec.json.decode(values.pop("alerts"), type=tuple[Alert, ...])
    return Service(report=_report(reported), alerts=alerts, **values)


def _report(text: str) -> ServiceReport | None:
    try:
        return msgspec.json.decode(text, type=ServiceReport) if text else None
    except msgspec.MsgspecError:  # of another release; the next report is understood
        return None


def status(service: Service, now_us: int, silent_seconds: float) -> tuple[Colour, str]:
    """Return a service's colour at a moment, and the reason."""
    if service.disabled_us:
        return "grey", "disabled"
    report = service.report
    if not service.reported_us or report is None:
        return "blue", "made, not paired yet" if not service.local else "made, never started"
    silent = (now_us - service.reported_us) / 1e6
    if silent > silent_seconds:
        return "red", f"not reachable: the last report came {silent:.0f} s ago"
    reasons = [f"{alert.name}: {alert.reason}" for alert in service.alerts]
    if report.refused_reason:
        reasons.insert(0, _refused(report))
    if report.colour != "green":
        reasons.insert(0, report.reason)
    return ("yellow", "; ".join(reasons)) if reasons else ("green", report.reason)


def _refused(report: ServiceReport) -> str:
    if not report.refused:  # one that keeps its settings itself
        return f"its settings were refused, those before go on: {report.refused_reason}"
    goes_on = f"version {report.running} goes on" if report.running else "nothing runs"
    return f"version {report.refused} of its set was refused, {goes_on}: {report.refused_reason}"


def as_row(service: Service, now_us: int, silent_seconds: float) -> Row:
    """Return what the table of active services shows."""
    colour, reason = status(service, now_us, silent_seconds)
    host = service.report.host if service.report else Host()
    alive = service.report is not None and colour in ("green", "yellow")
    uptime = int(service.report.uptime) if service.report and alive else 0
    return Row(
        colour,
        reason,
        service.kind,
        service.name,
        host.version,
        service.tenant_id,
        host.fqdn,
        service.address,
        host.api_port,
        uptime,
        service.created_us,
        service.paired_us,
        service.reported_us,
        service.id,
        service.set_id,
        service.local,
        service.debug,
        service.report.running if service.report else 0,
        service.wanted_version,
        service.alerts,
    )


def events_query(service: Service) -> str:
    """Return the search for what a service brought: the newest first."""
    return (
        f"SELECT * FROM events WHERE ServiceID = '{service.id}' ORDER BY Timestamp DESC LIMIT 250"  # noqa: S608 - an id of ours
    )
