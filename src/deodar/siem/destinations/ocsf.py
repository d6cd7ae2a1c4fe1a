"""Normalized events by the Open Cybersecurity Schema Framework, version 1.3.0.

Starts and ends of processes, file changes, connections and DNS queries have classes of their own;
every other event, and one that lacks what its class requires, is a Base Event. What has no place is
in ``unmapped``, under the name of the event model. Source: schema.ocsf.io, 1.3.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.siem.destinations.taken import Taken, without_empty

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = "1.3.0"
_BASE, _FILE, _PROCESS, _NETWORK, _DNS = 0, 1001, 1007, 4001, 4003
_SEVERITIES = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_FILE_ACTIVITIES = {
    "create": 1, "read": 2, "modify": 3, "delete": 4, "rename": 5, "attributes modify": 6,
}  # fmt: skip
_MD5, _SHA256 = (1, "MD5"), (3, "SHA-256")


def event(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as its OCSF class has it."""
    special = _CLASSES.get(str(fields.get("DeviceEventCategory", "")))
    row = Taken(fields)
    made = special(row) if special else None
    if made is None:
        row = Taken(fields)
        made = _classified(_BASE, 0)
    else:
        made["device"] = _device(row)  # a Base Event has none
    made |= _common(row)
    if "device" in made:
        made["metadata"]["profiles"] = ["host"]  # it is what brings device and actor
    made["unmapped"] = row.rest()
    return without_empty(made)


def _classified(class_uid: int, activity: int) -> dict[str, Any]:
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
    }


def _common(row: Taken) -> dict[str, Any]:
    severity = str(row.peek("Severity") or "informational").lower()
    return {
        "time": row.take("EndTime", "Timestamp"),
        "severity_id": _SEVERITIES.get(severity, 0),
        "message": row.take("Message", "Name"),
        "metadata": {
            "version": VERSION,
            "uid": row.take("ID"),
            "event_code": row.take("DeviceEventCategory"),
            "correlation_uid": row.take("BatchID"),
            "tenant_uid": row.take("TenantID"),
            "product": {
                "vendor_name": row.take("DeviceVendor") or "unknown",
                "name": row.take("DeviceProduct") or "unknown",
            },
        },
    }


def _device(row: Taken) -> dict[str, Any]:
    host = row.take("DeviceHostName") or "unknown"
    return {"type_id": 0, "hostname": host, "ip": row.take("DeviceAddress")}


def _process_activity(activity: int) -> Callable[[Taken], dict[str, Any] | None]:
    def made(row: Taken) -> dict[str, Any] | None:
        process, user = _process(row), _user(row)
        parent = without_empty(
            {
                "pid": row.take("SourceProcessID"),
                "uid": row.slot("UniqueParentPid"),
                "cmd_line": row.take("SourceProcessName"),
            }
        )
        parent = parent if _is_process(parent) else {}
        if not _is_process(process) or not (parent or user):
            return None
        actor = {"process": parent, "user": user}
        return {**_classified(_PROCESS, activity), "process": process, "actor": actor}

    return made


def _file_activity(row: Taken) -> dict[str, Any] | None:
    actor = _actor(row)
    name = row.take("OldFileName")
    if not actor or not name:
        return None
    file = {
        "name": name,
        "type_id": 0,
        "path": row.take("OldFilePath"),
        "size": row.take("OldFileSize"),
        "created_time": row.take("OldFileCreateTime"),
        "modified_time": row.take("OldFileModificationTime"),
        "hashes": _hashes(row.take("OldFileHash"), row.slot("Dropped file Sha256")),
    }
    activity = _FILE_ACTIVITIES.get(str(row.take("DeviceAction")), 0)
    return {**_classified(_FILE, activity), "file": file, "actor": actor}


def _network_activity(row: Taken) -> dict[str, Any] | None:
    target = _endpoint(row, "Destination")
    if not target:
        return None
    return {
        **_classified(_NETWORK, 1),
        "dst_endpoint": target,
        "src_endpoint": _endpoint(row, "Source"),
        "connection_info": {
            "direction_id": 0,
            "protocol_name": str(row.take("TransportProtocol") or "").lower() or None,
        },
        "actor": _actor(row),
    }


def _dns_activity(row: Taken) -> dict[str, Any] | None:
    name = row.take("DestinationDnsDomain")
    if not name:
        return None
    query = {"hostname": name, "type": row.slot("DnsType")}
    target = _endpoint(row, "Destination")
    return {
        **_classified(_DNS, 1), "query": query, "dst_endpoint": target, "actor": _actor(row)
    }  # fmt: skip


def _actor(row: Taken) -> dict[str, Any]:
    process = _process(row)
    return without_empty({"process": process if _is_process(process) else None, "user": _user(row)})


def _process(row: Taken) -> dict[str, Any]:
    path, name = row.take("DestinationProcessName"), row.take("FileName")
    hashes = _hashes(row.take("FileHash"), row.slot("File Sha256"))
    name = name or (str(path).rpartition("/")[2] if path else None)
    file = {"name": name, "path": path, "type_id": 1, "hashes": hashes}
    return without_empty(
        {
            "pid": row.take("DestinationProcessID"),
            "uid": row.slot("UniquePid"),
            "cmd_line": row.slot("Command line"),
            "file": file if name else None,
        }
    )


def _is_process(process: Mapping[str, Any]) -> bool:
    return "pid" in process or "uid" in process


def _user(row: Taken) -> dict[str, Any]:
    name, uid = row.take("SourceUserName"), row.take("SourceUserID")
    if not (name or uid):
        return {}
    domain = row.take("SourceNtDomain")
    return without_empty({"name": name, "uid": uid, "domain": domain})


def _endpoint(row: Taken, side: str) -> dict[str, Any]:
    address = row.take(f"{side}Address")
    name = row.take(f"{side}HostName")
    port = row.take(f"{side}Port")
    return without_empty({"ip": address, "hostname": name, "port": port}) if address or name else {}


def _hashes(md5: Any, sha256: Any) -> list[dict[str, Any]]:
    return [
        {"algorithm_id": number, "algorithm": name, "value": value}
        for (number, name), value in ((_MD5, md5), (_SHA256, sha256))
        if value
    ]


_CLASSES: dict[str, Callable[[Taken], dict[str, Any] | None]] = {
    "process": _process_activity(1),
    "process_terminate": _process_activity(2),
    "filechange": _file_activity,
    "connection": _network_activity,
    "dns": _dns_activity,
}
