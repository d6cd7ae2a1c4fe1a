"""Groups of the real kernel; services of a real systemd are in tests/e2e."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.agent.sensors.conftest import needs_programs

from deodar.agent.gather.running_services import unified
from deodar.agent.sensors.acts import CgroupChange
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts.core import CORE
from deodar.agent.sensors.parts.groups import CHANGE, GROUPS, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.sensors.conftest import Collect

ROOT = unified()
PATH = b"/system.slice/x.service\0"


def record(operation: int = 3, path: bytes = PATH) -> bytes:
    return CHANGE.pack(62, 0, 7, 11, 100, 5, operation, len(path), 0) + path


def test_a_record_is_decoded() -> None:
    change = decode(record(), 0, len(record()), 1000)
    path = "/system.slice/x.service"
    assert change == CgroupChange(1100, ProcessKey(7, 11), "populated", path, 5)


@pytest.mark.parametrize("data", [b"", record(9), record() + b"more", record()[:-1]])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedRecord):
        decode(data, 0, len(data), 0)


def test_the_layout_is_that_of_the_programs() -> None:
    text = resources.files("deodar.agent.sensors").joinpath("blobs", "groups.json").read_text()
    layout = msgspec.json.decode(text)["records"]["group_record"]
    assert layout["fields"]["path"] == CHANGE.size


@pytest.fixture
def sensor() -> Iterator[BpfSensor]:
    one = BpfSensor(own_pid=0, parts=(CORE, GROUPS))
    one.open()
    yield one
    one.close()


@pytest.mark.root
@needs_programs
@pytest.mark.skipif(ROOT is None, reason="no unified hierarchy of control groups here")
class TestKernel:
    def test_a_group_comes_fills_empties_and_goes(
        self, sensor: BpfSensor, collect: Collect, mark: str
    ) -> None:
        group = Path(f"{ROOT}/{mark}.service")
        group.mkdir()
        try:
            script = f'echo $$ >{group}/cgroup.procs && sleep "0.05" && exit 3'
            assert subprocess.run(["/bin/sh", "-c", script], check=False).returncode == 3
        finally:
            _remove(group)
        records = collect(sensor, lambda rs: any(_is(r, "removed", mark) for r in rs))
        found = [r for r in records if isinstance(r, CgroupChange) and mark in r.path]
        assert [r.operation for r in found] == ["made", "populated", "emptied", "removed"]
        assert {r.path for r in found} == {f"/{mark}.service"}
        assert len({r.id for r in found}) == 1
        assert found[0].key.pid == found[3].key.pid == os.getpid()
        assert sensor.counters().malformed == 0

    def test_a_long_path_is_whole(self, sensor: BpfSensor, collect: Collect, mark: str) -> None:
        names = [f"{mark}-{'x' * 200}", "y" * 200, "z" * 200]
        folders = [Path(str(ROOT), *names[: n + 1]) for n in range(3)]
        for folder in folders:
            folder.mkdir()
        for folder in reversed(folders):
            _remove(folder)
        records = collect(sensor, lambda rs: any(_is(r, "removed", f"/{names[0]}") for r in rs))
        made = [r.path for r in records if isinstance(r, CgroupChange) and r.operation == "made"]
        assert f"/{'/'.join(names)}" in made


def _is(record: object, operation: str, mark: str) -> bool:
    is_change = isinstance(record, CgroupChange) and record.operation == operation
    return is_change and mark in record.path  # type: ignore[attr-defined]


def _remove(group: Path) -> None:
    """Remove a group as soon as the kernel lets go of its last process."""
    for _ in range(1000):
        with suppress(OSError):
            group.rmdir()
            return
    raise TimeoutError(f"{group} cannot be removed")
