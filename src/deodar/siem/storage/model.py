"""The normalized event model of KUMA as data: every field with its kind and its longest value.

Names and kinds follow KUMA's "normalized event data model"; lengths that the vendor does not
state are those of the Common Event Format, with which KUMA agrees wherever both are known. The
four DeviceCustomIPv6Address fields are as long as other texts, for KUMA's own mapping of KEDR
events puts names of detection rules there. The table of the storage, the check of normalizers and
the reference page are made from this.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kind = Literal["string", "integer", "float", "time", "strings", "map"]
"""time is an integer, ms since the epoch; strings a list of texts; map from text to text."""

SetBy = Literal["normalizer", "collector", "correlator", "core"]


class ModelField(Struct, frozen=True):
    """A field of normalized events: its kind, its longest text in characters, who fills it."""

    name: str
    kind: Kind
    max_length: int | None
    group: str
    set_by: SetBy = "normalizer"
    label_of: str = ""


_KINDS: dict[str, Kind] = {
    "S": "string", "N": "integer", "F": "float", "T": "time", "L": "strings", "M": "map",
}  # fmt: skip

_INTERNAL: dict[SetBy, str] = {
    "collector": """
        ID S36, Timestamp T, TenantID S36, ServiceID S36, ServiceName S128, Type N, Raw S16384,
        Extra M, BaseEventCount N, AggregationRuleID S36, AggregationRuleName S128,
        SpaceID S36, SourceAssetID S36, DestinationAssetID S36, DeviceAssetID S36,
        SourceAccountID S36, DestinationAccountID S36, TI M""",
    "correlator": """
        CorrelationRuleID S36, CorrelationRuleName S128, GroupedBy L, Priority N, BaseEvents L,
        BaseEventIDs L, ReplayID S36, Score N, AffectedAssets L""",
    "core": """
        ServiceKind S31, ServiceAddress S255, ClusterID S36, ClusterName S128, TenantName S128""",
    "normalizer": "Code S1023, Tactic S1023, Technique S1023",
}

_ENDPOINT = """
    {0}Address S45, {0}City S1023, {0}Country S1023, {0}Region S1023, {0}DnsDomain S255,
    {0}HostName S1023, {0}Latitude F, {0}Longitude F, {0}MacAddress S17, {0}NtDomain S255, {0}Port
    N, {0}ProcessID N, {0}ProcessName S1023, {0}ServiceName S1023, {0}TranslatedAddress S45,
    {0}TranslatedPort N, {0}UserID S1023, {0}UserName S1023, {0}UserPrivileges S1023"""

_FILE = """
    {0}CreateTime T, {0}Hash S255, {0}ID S1023, {0}ModificationTime T, {0}Name S1023,
    {0}Path S1023, {0}Permission S1023, {0}Size N, {0}Type S1023"""

_FAMILIES: dict[str, str] = {
    "Event": """
        Name S512, Message S1023, Severity S1023, EventOutcome S63, Reason S1023, ExternalID S40,
        StartTime T, EndTime T""",
    "Application and transport": """
        ApplicationProtocol S31, TransportProtocol S31, BytesIn N, BytesOut N""",
    "Device": """
        DeviceAction S63, DeviceAddress S45, DeviceCity S1023, DeviceCountry S1023,
        DeviceDirection N, DeviceDnsDomain S255, DeviceEventCategory S1023,
        DeviceEventClassID S1023, DeviceExternalID S255, DeviceFacility S1023,
        DeviceHostName S100, DeviceInboundInterface S128, DeviceMacAddress S17,
        DeviceNtDomain S255, DeviceOutboundInterface S128, DevicePayloadID S128,
        DeviceProcessID N, DeviceProcessName S1023, DeviceProduct S63, DeviceReceiptTime T,
        DeviceTimeZone S255, DeviceTranslatedAddress S45, DeviceVendor S63, DeviceVersion S31""",
    "Source": _ENDPOINT.format("Source"),
    "Destination": _ENDPOINT.format("Destination"),
    "File": _FILE.format("File"),
    "Old file": _FILE.format("OldFile"),
    "Request": """
        RequestUrl S1023, RequestClientApplication S1023, RequestContext S2048,
        RequestCookies S1023, RequestMethod S1023""",
}

_SLOTS: tuple[tuple[str, int, str, int], ...] = (
    ("DeviceCustomDate", 2, "T", 1023),
    ("DeviceCustomFloatingPoint", 4, "F", 1023),
    ("DeviceCustomIPv6Address", 4, "S1023", 1023),
    ("DeviceCustomNumber", 3, "N", 1023),
    ("DeviceCustomString", 6, "S4000", 1023),
    ("FlexDate", 1, "T", 128),
    ("FlexNumber", 2, "N", 128),
    ("FlexString", 2, "S1023", 128),
)
"""Fields for what has no place of its own: name, how many, kind, longest label."""


def _field(text: str, group: str, set_by: SetBy = "normalizer", label_of: str = "") -> ModelField:
    name, kind = text.split()
    length = int(kind[1:]) if len(kind) > 1 else None
    return ModelField(name, _KINDS[kind[0]], length, group, set_by, label_of)


def _all_fields() -> Iterator[ModelField]:
    for set_by, names in _INTERNAL.items():
        yield from (_field(text, "Service", set_by) for text in names.split(","))
    for group, names in _FAMILIES.items():
        yield from (_field(text, group) for text in names.split(","))
    for prefix, count, kind, label in _SLOTS:
        for number in range(1, count + 1):
            name = f"{prefix}{number}"
            yield _field(f"{name} {kind}", "Slots")
            yield _field(f"{name}Label S{label}", "Slots", label_of=name)


MODEL: Mapping[str, ModelField] = MappingProxyType({field.name: field for field in _all_fields()})
"""Every field of normalized events by name, in the order of the table."""


def label_field(name: str) -> str | None:
    """Return the field that holds the label of a slot; None if the field is no slot."""
    label = f"{name}Label"
    return label if label in MODEL and MODEL[label].label_of == name else None
