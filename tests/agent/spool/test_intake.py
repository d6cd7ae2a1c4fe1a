from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.agent.spool.world import MEBIBYTE, World, failing_disk, numbers, packet

from deodar.agent.packets import decode_header
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import FULL, Level

SMALL = SpoolSettings(
    maximum_bytes=MEBIBYTE, segment_bytes=64 * 1024, memory_bytes=MEBIBYTE, sync=False
)
KINDS = st.lists(
    st.sampled_from(["low", "low", "medium", "medium", "high"]), min_size=1, max_size=9
)


class _AnyLife(RuleBasedStateMachine):
    """Whatever happens to a spool: each event is delivered once and in order, or counted once."""

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self._patch = failing_disk()
        self.disk = self._patch.__enter__()
        self.world = World(Path(self._home.name), SMALL)
        self.put_events = 0
        self.forgotten: list[int] = []
        self.high_lost = 0
        self.batch = None

    @rule(kinds=KINDS, size=st.sampled_from([100, 5_000, 40_000]), times=st.integers(1, 12))
    def put(self, kinds, size, times):
        for _ in range(times):
            first = self.put_events
            self.put_events += len(kinds)
            self.world.spool.put(packet(range(first, self.put_events), kinds, size))
            self._high_went_last()
        self.world.spool.settle()

    @rule(
        answered=st.booleans(),
        events=st.integers(1, 40),
        size=st.sampled_from([50_000, 500_000]),
        times=st.integers(1, 4),
    )
    def deliver(self, answered, events, size, times):
        for _ in range(times):
            self.world.deliver(answered=answered, max_events=events, max_bytes=size)

    @rule()
    def take_two_and_settle_the_second(self):
        spool = self.world.spool
        first = spool.take(0, max_events=10)
        second = spool.take(first.last, max_events=10) if first else None
        if second is not None:
            for batch in (first, second):
                if (there := self.world.server.offer(batch)) is not None:
                    spool.acknowledge_to(there)
                    return
            spool.acknowledge(second)

    @rule(events=st.integers(1, 40))
    def the_same_batch_comes_again(self, events):
        first = self.world.spool.take(0, max_events=events)
        assert self.world.spool.take(0, max_events=99) == first

    @rule(events=st.integers(1, 40))
    def a_batch_begins_its_way(self, events):
        self.batch = self.world.spool.take(0, max_events=events)

    @rule()
    def and_arrives(self):
        """What was put, thinned and aged meanwhile must not matter."""
        if self.batch is not None and self.world.server.offer(self.batch) is None:
            self.world.spool.acknowledge(self.batch)
        self.batch = None

    @rule()
    def forget(self):
        self.batch = None
        self.world.spool.forget()

    @rule()
    def restart(self):
        self.disk.full = False
        self.batch = None
        self.world.reopen()

    @rule()
    def crash(self):
        self.world.spool.settle()  # counts of the last second may be forgotten
        self.forgotten += self.world.kill()
        self.disk.full = False
        self.batch = None
        self.world.open()

    @rule()
    def disk_fails(self):
        self.disk.full = True

    @rule()
    def disk_is_well(self):
        self.disk.full = False

    @rule(days=st.sampled_from([0.1, 8, 22]), step=st.sampled_from([0, 1e9, -1e9]))
    def time_passes(self, days, step):
        self.world.clocks.passes(days * 86_400)
        self.world.clocks.wall += step
        self.world.spool.settle()

    @invariant()
    def bounded(self):
        state = self.world.spool.state()
        assert state.bytes <= MEBIBYTE
        assert self.world.spool._held.bytes <= MEBIBYTE

    def _high_went_last(self) -> None:
        """When an event of high importance had to go for room, no lower one is left anywhere."""
        open_ = self.world.losses._open.get(("spool", FULL[Level.HIGH]))
        lost = open_.count if open_ else 0
        if lost > self.high_lost:
            self.high_lost = lost
            flight = self.world.spool._outgoing.flight
            for record in self.world.spool._journal.read(flight):
                header = decode_header(record.header)
                assert header.low == header.medium == 0

    def teardown(self):
        try:
            self.disk.full = False
            world = self.world
            world.reopen()
            waiting = world.spool.state().events
            before = len(world.server.events)
            unsettled = world.spool.take(0)
            known = len(set(numbers(unsettled.body)) & set(world.server.events)) if unsettled else 0
            delivered = world.deliver_all()
            assert len(delivered) - before == waiting - known
            assert delivered == sorted(set(delivered))
            told = world.lost()
            lost = sum(told.values())
            for reason in told:
                hypothesis.event(reason)
            hypothesis.event("lost by kill" if self.forgotten else "none killed")
            hypothesis.event(f"delivered {min(len(delivered), 100) // 20 * 20}")
            assert len(delivered) + lost + len(self.forgotten) == self.put_events
            assert not set(delivered) & set(self.forgotten)
            world.spool.close()
        finally:
            self._patch.__exit__(None, None, None)
            self._home.cleanup()


_AnyLife.TestCase.settings = hypothesis.settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate),
)
TestAnyLife = _AnyLife.TestCase
