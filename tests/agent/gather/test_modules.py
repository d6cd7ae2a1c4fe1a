"""Names and calls of kernel modules, in every order that they can come in.

That the kernel tells them so is tested in tests/agent/sensors/parts/test_modules.py.
"""

from __future__ import annotations

import pytest

from deodar.agent.gather.modules import HELD, MOST_HELD, ModuleGatherer, name_of
from deodar.agent.sensors.acts import KernelModule, ModuleSeen
from deodar.agent.sensors.base import FileIdentity, ProcessKey

KEY, OTHER = ProcessKey(70, 10_000_000), ProcessKey(71, 20_000_000)
FILE = FileIdentity(1, 2, 3, 4, 5)


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def gatherer(now: list[float]) -> ModuleGatherer:
    return ModuleGatherer(lambda: now[0])


def seen(operation="load", key=KEY, name=b"snd_x", time=5):
    return ModuleSeen(time, key, name, operation, 4096)


def call(operation="load", key=KEY, name=b"", path=b"/lib/snd-x.ko.xz", identity=FILE):
    return KernelModule(9, key, name, operation, path, identity)


def test_a_call_gets_the_name_that_the_kernel_gave(gatherer):
    assert gatherer.take(seen()) == []
    assert gatherer.waiting == 1
    (record,) = gatherer.take(call())
    assert (record.name, record.taints, record.path) == (b"snd_x", 4096, b"/lib/snd-x.ko.xz")
    assert (record.time_ns, record.identity) == (9, FILE)
    assert gatherer.waiting == 0


def test_a_call_from_memory_gets_its_name_too(gatherer):
    gatherer.take(seen())
    (record,) = gatherer.take(call(path=b"", identity=None))
    assert (record.name, record.path) == (b"snd_x", b"")


def test_a_call_without_a_name_is_named_after_its_file(gatherer):
    (record,) = gatherer.take(call())
    assert (record.name, record.taints) == (b"snd_x", 0)


def test_loads_of_two_processes_stay_apart(gatherer):
    gatherer.take(seen())
    gatherer.take(seen(key=OTHER, name=b"other"))
    assert gatherer.take(call())[0].name == b"snd_x"
    assert gatherer.take(call(key=OTHER))[0].name == b"other"


def test_load_and_unload_by_one_process_stay_apart(gatherer):
    gatherer.take(seen())
    gatherer.take(seen("unload", name=b"old"))
    assert gatherer.take(call("unload", path=b"", identity=None))[0].name == b"old"
    assert gatherer.take(call())[0].name == b"snd_x"


def test_a_name_without_a_call_is_told_after_a_while(gatherer, now):
    gatherer.take(seen())
    assert gatherer.due(now[0] + HELD - 1) == []
    assert gatherer.due(now[0] + HELD) == [KernelModule(5, KEY, b"snd_x", "load", taints=4096)]
    assert gatherer.waiting == 0


def test_a_module_that_did_not_start_is_no_event(gatherer, now):
    gatherer.take(seen())
    gatherer.take(seen("unload"))
    assert gatherer.due(now[0] + HELD) == []
    assert gatherer.waiting == 0


def test_a_second_try_of_the_same_process_is_one_event(gatherer):
    gatherer.take(seen())
    gatherer.take(seen("unload"))
    assert gatherer.take(seen()) == []
    (record,) = gatherer.take(call())
    assert record.name == b"snd_x"
    assert gatherer.due(0, last=True) == []


def test_what_waits_at_the_end_is_given_on(gatherer):
    gatherer.take(seen())
    assert len(gatherer.due(0, last=True)) == 1


def test_names_that_find_no_room_are_given_on_early(gatherer):
    for number in range(MOST_HELD):
        assert gatherer.take(seen(key=ProcessKey(number, 1))) == []
    (early,) = gatherer.take(seen(key=OTHER))
    assert early.key == ProcessKey(0, 1)
    assert gatherer.waiting == MOST_HELD


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/lib/modules/6.1/kernel/sound/snd-hda-intel.ko", b"snd_hda_intel"),
        (b"/tmp/evil.ko.zst", b"evil"),
        (b"/tmp/odd", b"odd"),
        (b"", b""),
    ],
)
def test_names_of_files(path, name):
    assert name_of(path) == name
