from __future__ import annotations

import os
import struct

import pytest

from deodar.agent.sensors.acts import MemoryFile
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.loader import read_blob
from deodar.agent.sensors.parts import PARTS, calls_kernel, calls_net, calls_reach
from deodar.agent.sensors.parts.calls import CALLS, KINDS, decode
from deodar.agent.sensors.parts.core import CORE

HEAD_FIELDS = 5
MANY = 500


def test_it_is_in_use_and_has_a_blob() -> None:
    assert CALLS in PARTS
    assert read_blob("calls").manifest["name"] == "calls"


def test_each_number_is_read_by_one_module() -> None:
    modules = (calls_reach, calls_kernel, calls_net)
    assert sum(len(module.KINDS) for module in modules) == len(KINDS)
    for module in modules:
        assert module.KINDS.keys() == module.DECODERS.keys()


@pytest.mark.root
def test_what_does_not_fit_into_the_ring_is_counted(mark: str) -> None:
    sensor = BpfSensor(ring_bytes=4096, own_pid=0, parts=(CORE, CALLS))
    sensor.open()
    try:
        for number in range(MANY):
            os.close(os.memfd_create(f"{mark}-{number}"))
        session = sensor.session
        assert session is not None
        before = session.tallies()["memory_file"]
        told, taken = session.parts[1].drain(MANY, 0)
        after = session.tallies()["memory_file"]  # others may make some meanwhile
        files = [record for record in told if isinstance(record, MemoryFile)]
    finally:
        sensor.close()
    assert 0 < len(files) <= taken < MANY <= before[0]
    assert before[0] - before[1] <= len(files) <= after[0] - after[1]


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
