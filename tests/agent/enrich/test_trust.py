from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.enrich.trust import GENERATIONS, TrustKeeper
from deodar.agent.exclusions import Exclusions, Trust
from deodar.agent.sensors.base import (
    Connection,
    Exec,
    Exit,
    Fork,
    Listen,
    Lost,
    ProcessKey,
    Record,
)
from deodar.tasks.settings import TrustedProgram

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

NOW = 1_800_000_000_000_000_000
TOP = ProcessKey(4_000_000, 10_000_000)


class World:
    """Processes that fork, run programs and end, and what becomes of their records."""

    def __init__(self, context: Context, *programs: tuple[str, bool]) -> None:
        self.context = context
        self.pid = TOP.pid
        self.trust(*programs)

    def trust(self, *programs: tuple[str, bool]) -> None:
        listed = [TrustedProgram(program_path=p, apply_to_descendants=f) for p, f in programs]
        self.keeper = TrustKeeper(self.context, Exclusions(listed))

    def left_out(self, record: Record) -> bool:
        if self.keeper.excludes(record):
            return True
        if not isinstance(record, Lost):
            event_of(self.context, record)
        self.keeper.note(record)
        return False

    def fork(self, parent: ProcessKey = TOP) -> tuple[ProcessKey, bool]:
        self.pid += 1
        child = ProcessKey(self.pid, self.pid * 10_000_000)
        return child, self.left_out(Fork(NOW, child, parent, comm=b"sh"))

    def run(
        self, key: ProcessKey, exe: str, parent: ProcessKey = TOP, *, deleted: bool = False
    ) -> bool:
        return self.left_out(
            Exec(NOW, key, parent, [exe.encode()], exe=exe.encode(), deleted=deleted)
        )

    def new(self, exe: str, parent: ProcessKey = TOP) -> ProcessKey:
        """Fork and run a program."""
        key, _ = self.fork(parent)
        self.run(key, exe, parent)
        return key

    def others(self, key: ProcessKey) -> set[bool]:
        """Whether the process's connections, ports and end are left out."""
        local = ("127.0.0.1", 5, "192.0.2.1", 443)
        records: list[Record] = [
            Connection(NOW, key, "outbound", socket.AF_INET, 6, *local),
            Listen(NOW, key, "::", 80, 6),
            Exit(NOW, key),
        ]
        return {self.left_out(record) for record in records}


PROGRAM, FAMILY = ("/opt/backup", False), ("/usr/bin/make", True)


def test_all_of_a_trusted_program_is_left_out_from_its_start(context: Context) -> None:
    world = World(context, PROGRAM)
    key, forked = world.fork()
    assert not forked
    assert world.run(key, "/opt/backup")
    copy, is_out = world.fork(key)
    assert is_out
    assert world.others(copy) == world.others(key) == {True}


def test_what_a_trusted_program_starts_is_told(context: Context) -> None:
    world = World(context, PROGRAM)
    child, _ = world.fork(world.new("/opt/backup"))
    assert not world.run(child, "/bin/sh")
    assert world.others(child) == {False}
    grandchild, is_out = world.fork(child)
    assert not is_out
    assert not world.run(grandchild, "/bin/ls", child)


def test_what_a_trusted_family_starts_is_left_out_to_the_last(context: Context) -> None:
    world = World(context, FAMILY)
    key = world.new("/usr/bin/make")
    for _ in range(5):
        key, is_out = world.fork(key)
        assert is_out
        assert world.run(key, "/usr/bin/cc", key)
    assert world.others(key) == {True}


def test_family_stays_when_the_parent_ends_or_runs_another_program(context: Context) -> None:
    world = World(context, FAMILY)
    top = world.new("/usr/bin/make")
    child, _ = world.fork(top)
    assert world.run(top, "/bin/sh")  # in place of make: still of that family
    assert world.left_out(Exit(NOW, top))
    assert world.run(child, "/usr/bin/daemon", ProcessKey(1, 0))  # init is its parent now
    assert world.others(child) == {True}


def test_child_of_before_is_no_family(context: Context) -> None:
    world = World(context, FAMILY)
    shell = world.new("/bin/sh")
    older = world.new("/bin/older", shell)
    assert world.run(shell, "/usr/bin/make")
    assert not world.run(older, "/bin/x", shell)
    assert world.others(older) == {False}
    younger, is_out = world.fork(shell)
    assert is_out
    assert world.others(younger) == {True}


def test_program_without_a_name_is_not_trusted_by_its_path(context: Context) -> None:
    world = World(context, PROGRAM, FAMILY)
    key, _ = world.fork()
    assert not world.run(key, "/opt/backup", deleted=True)
    child, _ = world.fork(world.new("/usr/bin/make"))
    assert world.run(child, "/memfd:x", deleted=True)


def test_program_in_a_container_is_not_trusted_by_its_path(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control group of a container cannot be had in every place that tests run in."""
    from deodar.agent.enrich import proc

    world = World(context, PROGRAM, FAMILY)
    runtime = world.new("/usr/bin/make")
    monkeypatch.setattr(proc, "container_id", lambda _pid: "ab" * 32)
    key, _ = world.fork()
    assert not world.run(key, "/opt/backup")
    assert world.others(key) == {False}
    inside, _ = world.fork(runtime)
    assert world.run(inside, "/bin/sh")


def test_processes_that_ran_before_are_trusted_too(context: Context) -> None:
    context.seed()
    world = World(context, (os.path.realpath(sys.executable), True))
    live = live_process(os.getpid())
    assert live is not None
    child, is_out = world.fork(live.key)
    assert is_out
    assert world.run(child, "/bin/anything", live.key)


def test_other_exclusions_judge_anew(context: Context) -> None:
    world = World(context, FAMILY)
    make = world.new("/usr/bin/make")
    child = world.new("/bin/cc", make)
    world.trust(PROGRAM)
    assert world.others(child) == {False}
    world.trust(FAMILY)
    other, is_out = world.fork(make)
    assert is_out
    assert world.others(other) == {True}


def test_long_line_of_parents_is_walked_to_a_bound(context: Context) -> None:
    world = World(context)
    key = world.new("/usr/bin/make")
    for _ in range(GENERATIONS + 50):
        key, _ = world.fork(key)
        world.run(key, "/bin/sh", key)
    world.trust(FAMILY)
    process = context.processes.get(key)
    assert process is not None
    assert world.keeper.of(process) == Trust.NONE


def test_losses_and_strangers_are_never_left_out(context: Context) -> None:
    world = World(context, ("/**", True))
    assert not world.left_out(Lost(NOW, 5, "bpf", "full"))
    assert not world.left_out(Exit(NOW, ProcessKey(4_111_111, 7)))
    nobody = ProcessKey(0, 0)
    assert not world.left_out(Listen(NOW, nobody, "::", 80, 6))
