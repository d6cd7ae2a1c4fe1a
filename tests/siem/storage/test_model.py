from __future__ import annotations

import pytest

from deodar.siem.storage.model import MODEL, label_field


@pytest.mark.parametrize(
    ("name", "kind", "length"),
    [
        ("ID", "string", 36),
        ("Timestamp", "time", None),
        ("DestinationAddress", "string", 45),
        ("DestinationLatitude", "float", None),
        ("SourcePort", "integer", None),
        ("DeviceHostName", "string", 100),
        ("DeviceReceiptTime", "time", None),
        ("OldFileHash", "string", 255),
        ("RequestContext", "string", 2048),
        ("DeviceCustomString6", "string", 4000),
        ("DeviceCustomString6Label", "string", 1023),
        ("FlexString2Label", "string", 128),
        ("DeviceCustomFloatingPoint4", "float", None),
        ("Extra", "map", None),
        ("GroupedBy", "strings", None),
    ],
)
def test_fields_are_as_kuma_has_them(name: str, kind: str, length: int | None) -> None:
    assert (MODEL[name].kind, MODEL[name].max_length) == (kind, length)


def test_the_whole_model_is_there_and_no_name_is_odd() -> None:
    assert len(MODEL) == 180
    assert all(name.isalnum() and name == field.name for name, field in MODEL.items())
    assert all(
        (field.max_length is not None) == (field.kind == "string") for field in MODEL.values()
    )


def test_every_slot_has_its_label() -> None:
    slots = [f.name for f in MODEL.values() if f.group == "Slots" and not f.label_of]
    assert len(slots) == 24
    assert all(label_field(name) == f"{name}Label" for name in slots)
    assert label_field("FileName") is None
    assert label_field("DeviceCustomString1Label") is None
