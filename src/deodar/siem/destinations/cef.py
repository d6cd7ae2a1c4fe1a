r"""Normalized events in ArcSight's Common Event Format, version 0.

``CEF:0|vendor|product|version|class id|name|severity|key=value key=value``. In the header ``\`` and
``|`` are escaped by a backslash, in values ``\`` and ``=``; line feed and carriage return are
written ``\n`` and ``\r`` in values, and as blanks in the header. Source: Micro Focus, "Implementing
ArcSight Common Event Format", version 25, with its dictionary of extension keys. A field that the
dictionary does not have keeps its name, with a small first letter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = ("DeviceVendor", "DeviceProduct", "DeviceVersion", "DeviceEventClassID", "Name")
_SEVERITIES = {"unknown", "low", "medium", "high", "very-high"}
_PAIRS = """
    DeviceAction act, ApplicationProtocol app, DeviceEventCategory cat, BaseEventCount cnt,
    DestinationAddress dst, DestinationHostName dhost, DestinationMacAddress dmac,
    DestinationNtDomain dntdom, DestinationPort dpt, DestinationProcessID dpid,
    DestinationProcessName dproc, DestinationUserID duid, DestinationUserName duser,
    DestinationUserPrivileges dpriv, DestinationLatitude dlat, DestinationLongitude dlong,
    DeviceTimeZone dtz, DeviceAddress dvc, DeviceHostName dvchost, DeviceMacAddress dvcmac,
    DeviceProcessID dvcpid, DeviceExternalID deviceExternalId, DevicePayloadID devicePayloadId,
    EndTime end, ExternalID externalId, FileID fileId, FileName fname, FileSize fsize, BytesIn in,
    Message msg, OldFileID oldFileId, BytesOut out, EventOutcome outcome, TransportProtocol proto,
    RequestUrl request, DeviceReceiptTime rt, SourceAddress src, SourceHostName shost,
    SourceMacAddress smac, SourceNtDomain sntdom, SourcePort spt, SourceProcessID spid,
    SourceProcessName sproc, SourceUserID suid, SourceUserName suser, SourceUserPrivileges spriv,
    SourceLatitude slat, SourceLongitude slong, StartTime start, ID deodarEventId,
    BatchID deodarBatchId, Timestamp deodarTimestamp"""
_SLOTS = (
    ("DeviceCustomString", "cs"), ("DeviceCustomNumber", "cn"), ("DeviceCustomDate", "devCustDt"),
    ("DeviceCustomFloatingPoint", "cfp"), ("DeviceCustomIPv6Address", "c6a"),
)  # fmt: skip
_KEYS: dict[str, str] = dict(pair.split() for pair in _PAIRS.split(","))
_IN_HEADER = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "\r": " "})
_IN_VALUE = str.maketrans({"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r"})
_UNKEYED = re.compile(r"[^A-Za-z0-9_]")


def key_of(field: str) -> str:
    """Return the extension key of a field of the event model."""
    known = _KEYS.get(field)
    if known is None:
        known = _KEYS[field] = _slot(field) or field[:1].lower() + field[1:]
    return known


def _slot(field: str) -> str:
    for prefix, short in _SLOTS:
        if field.startswith(prefix):
            name = "deviceCustomDate" if short == "devCustDt" else short
            return name + field.removeprefix(prefix)
    return ""


def line(event: Mapping[str, Any]) -> str:
    """Return an event as one line of CEF, without a line feed."""
    head = [text(event.get(name, "")).translate(_IN_HEADER) for name in HEADER]
    head.append(_severity(event.get("Severity", "")))
    pairs = [
        f"{_UNKEYED.sub('_', key_of(name))}={text(value).translate(_IN_VALUE)}"
        for name, value in event.items()
        if name not in HEADER and name != "Severity"
    ]
    return f"CEF:0|{'|'.join(head)}|{' '.join(pairs)}"


def text(value: object) -> str:
    """Return a value as it is written; lists and maps as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return msgspec.json.encode(value).decode()


def _severity(value: object) -> str:
    """Return 0 to 10 or one of CEF's words; another text means Unknown."""
    word = str(value)
    if word.isascii() and word.isdigit() and int(word[:3]) <= 10:
        return word
    return word.capitalize() if word.lower() in _SEVERITIES - {"very-high"} else _very_high(word)


def _very_high(word: str) -> str:
    return "Very-High" if word.lower() == "very-high" else "Unknown"
