from __future__ import annotations

import struct

import pytest

from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.parts import PARTS, calls_kernel, calls_net, calls_reach
from deodar.agent.sensors.parts.calls import CALLS, KINDS, decode

HEAD_FIELDS = 5


def test_it_is_in_use_and_has_a_blob() -> None:
    assert CALLS in PARTS
    assert read_blob("calls").manifest["name"] == "calls"


def test_each_number_is_read_by_one_module() -> None:
    modules = (calls_reach, calls_kernel, calls_net)
    assert sum(len(module.KINDS) for module in modules) == len(KINDS)
    for module in modules:
        assert module.KINDS.keys() == module.DECODERS.keys()


@pytest.mark.parametrize(
    ("layout", "name", "payload"),
    [
        (calls_reach.MEMFD, "memfd_record", None),
        (calls_reach.ACCESS, "access_record", None),
        (calls_kernel.MODULE, "module_record", "payload"),
        (calls_kernel.BPF, "bpf_record", None),
    ],
)
def test_every_field_is_where_the_c_side_has_it(
    layout: struct.Struct, name: str, payload: str | None
) -> None:
    """Set one C field after another to 0xff and see that just this Python field changes."""
    facts = read_blob("calls").manifest["records"][name]
    fields = {field: at for field, at in facts["fields"].items() if field not in ("head", payload)}
    assert layout.size == (facts["fields"][payload] if payload else facts["bytes"])
    blank = layout.unpack(bytes(layout.size))
    assert len(fields) == len(blank) - HEAD_FIELDS
    for number, place in enumerate(sorted(fields.values()), start=HEAD_FIELDS):
        data = bytearray(layout.size)
        data[place] = 0xFF
        assert [i for i, v in enumerate(layout.unpack(data)) if v != blank[i]] == [number]


@pytest.mark.parametrize("kind", [*KINDS, 0, 63, 65535])
@pytest.mark.parametrize("length", [0, 2, 24])
def test_garbage_is_refused(kind: int, length: int) -> None:
    data = struct.pack("<H", kind).ljust(length, b"\0")[:length]
    with pytest.raises(MalformedRecord):
        decode(data, 0, length, 0)
