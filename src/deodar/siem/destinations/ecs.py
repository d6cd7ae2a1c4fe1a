"""Normalized events by the Elastic Common Schema, version 8.11.

What the schema has no field for is kept below ``kuma``, under the name of the event model. Source:
Elastic, "ECS field reference" and "ECS categorization fields".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deodar.siem.destinations.taken import Taken, without_empty

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "8.11.0"
_KINDS: dict[str, tuple[list[str], list[str]]] = {
    "process": (["process"], ["start"]),
    "process_terminate": (["process"], ["end"]),
    "process_fork": (["process"], ["start"]),
    "connection": (["network"], ["connection", "start"]),
    "portlisten": (["network"], ["info"]),
    "dns": (["network"], ["protocol"]),
    "filechange": (["file"], ["change"]),
    "module": (["library"], ["start"]),
    "driver": (["driver"], ["start"]),
    "threatdetect": (["malware"], ["info"]),
    "threatprocessingresult": (["malware"], ["info"]),
}
_FILE_TYPES = {"create": "creation", "delete": "deletion", "read": "access"}


def event(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as ECS has it, nested."""
    row = Taken(fields)
    created = row.take("Timestamp")
    made = {
        "@timestamp": _time(row.peek("EndTime") or created),
        "ecs": {"version": VERSION},
        "message": row.take("Message") or row.peek("Name"),
        "event": {**_kind(row), **_about(row), "created": _time(created)},
        "host": _host(row),
        "process": _process(row),
        "user": _user(row),
        "file": _file(row),
        "source": _side(row, "Source"),
        "destination": _side(row, "Destination"),
        "network": {"transport": _lower(row.take("TransportProtocol"))},
        "url": {"full": row.take("RequestUrl")},
        "http": {"request": {"method": row.take("RequestMethod")}},
        "observer": {"vendor": row.take("DeviceVendor"), "product": row.take("DeviceProduct")},
        "rule": {"name": row.take("DevicePayloadID")},
        "organization": {"id": row.take("TenantID")},
    }
    made["kuma"] = row.rest()
    return without_empty(made)


def _kind(row: Taken) -> dict[str, Any]:
    name = row.peek("DeviceEventCategory")
    category, types = _KINDS.get(str(name), ([], ["info"]))
    if name == "filechange":
        types = [_FILE_TYPES.get(str(row.peek("DeviceAction")), "change")]
    kind = "alert" if category == ["malware"] else "event"
    return {"kind": kind, "category": category, "type": types, "action": row.take("Name")}


def _about(row: Taken) -> dict[str, Any]:
    severity = str(row.peek("Severity") or "")
    outcome = row.peek("EventOutcome")
    return {
        "id": row.take("ID"),
        "code": row.take("DeviceEventCategory"),
        "start": _time(row.take("StartTime")),
        "end": _time(row.take("EndTime")),
        "ingested": _time(row.take("DeviceReceiptTime")),
        "reason": row.take("Reason"),
        "outcome": row.take("EventOutcome") if outcome in ("success", "failure") else None,
        "severity": int(severity) if severity.isascii() and severity.isdigit() else None,
    }


def _host(row: Taken) -> dict[str, Any]:
    address = row.take("DeviceAddress")
    os_version = row.slot("OsVersion")
    return {
        "name": row.take("DeviceHostName"),
        "ip": [address] if address else None,
        "os": {"full": row.take("DeviceVersion"), "version": os_version},
    }


def _process(row: Taken) -> dict[str, Any]:
    path = row.take("DestinationProcessName")
    return {
        "pid": row.take("DestinationProcessID"),
        "entity_id": row.slot("UniquePid"),
        "executable": path,
        "name": row.take("FileName"),
        "command_line": row.slot("Command line"),
        "hash": {"md5": row.take("FileHash"), "sha256": row.slot("File Sha256")},
        "parent": {
            "pid": row.take("SourceProcessID"),
            "entity_id": row.slot("UniqueParentPid"),
            "command_line": row.take("SourceProcessName"),
        },
    }


def _user(row: Taken) -> dict[str, Any]:
    return {
        "name": row.take("SourceUserName"),
        "domain": row.take("SourceNtDomain"),
        "id": row.take("SourceUserID"),
        "target": {"name": row.take("DestinationUserName"), "id": row.take("DestinationUserID")},
    }


def _file(row: Taken) -> dict[str, Any]:
    return {
        "name": row.take("OldFileName"),
        "path": row.take("OldFilePath"),
        "size": row.take("OldFileSize"),
        "created": _time(row.take("OldFileCreateTime")),
        "mtime": _time(row.take("OldFileModificationTime")),
        "hash": {"md5": row.take("OldFileHash"), "sha256": row.slot("Dropped file Sha256")},
    }


def _side(row: Taken, side: str) -> dict[str, Any]:
    return {
        "ip": row.take(f"{side}Address"),
        "port": row.take(f"{side}Port"),
        "domain": row.take(f"{side}HostName", f"{side}DnsDomain"),
        "mac": row.take(f"{side}MacAddress"),
    }


def _lower(value: Any) -> str | None:
    return str(value).lower() if value else None


def _time(milliseconds: Any) -> str | None:
    if not isinstance(milliseconds, int):
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
