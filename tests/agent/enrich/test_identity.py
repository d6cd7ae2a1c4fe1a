from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.enrich.identity import UniquePids, event_ids, to_tick
from deodar.agent.sensors.base import ProcessKey


@given(st.integers(1, 2**22), st.integers(1, 2**60))
def test_key_from_proc_and_key_from_the_kernel_give_one_id(pid: int, start: int) -> None:
    from_proc = ProcessKey(pid, start - start % 10_000_000)
    if from_proc.start:
        ids = UniquePids("boot")
        assert ids.of(ProcessKey(pid, start)) == ids.of(from_proc)
        assert to_tick(ProcessKey(pid, start)) == from_proc


def test_id_differs_by_pid_by_start_and_by_boot() -> None:
    ids = UniquePids("boot")
    key = ProcessKey(7, 10_000_000)
    others = {
        ids.of(ProcessKey(8, 10_000_000)),
        ids.of(ProcessKey(7, 20_000_000)),
        UniquePids("other").of(key),
    }
    assert ids.of(key) not in others
    assert len(others) == 3
    assert str(uuid.UUID(ids.of(key))) == ids.of(key)


def test_unknown_process_has_no_id() -> None:
    assert UniquePids("boot").of(ProcessKey(0, 0)) == ""
    assert UniquePids("boot").of(ProcessKey(5, 0)) == ""


def test_event_ids_are_uuids_and_never_the_same() -> None:
    first, second = event_ids(), event_ids()
    made = [next(first) for _ in range(1000)] + [next(second) for _ in range(1000)]
    assert len(set(made)) == 2000
    assert str(uuid.UUID(made[0])) == made[0]
