from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from deodar.agent.journal.errors import JournalError
from deodar.agent.journal.keeper import HELD, RETRY, Keeper
from deodar.agent.journal.query import parse
from deodar.agent.journal.selection import selected
from deodar.demo.stack import attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.agent.journal.conftest import Clock

    from deodar.agent.journal.record import Record

EVERYTHING = parse("")
LIMIT = 100_000


@pytest.fixture
def shown() -> list[Record]:
    return []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def read_only(disk: Path, yes: bool) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", disk], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    yield
    (disk / "ballast").unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file as another program may."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def kept(keeper: Keeper) -> list[Record]:
    return list(selected(keeper, EVERYTHING))


@pytest.mark.root
def test_a_full_disk_costs_nothing_that_can_be_held(
    disk: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(disk / "events.db", LIMIT, shown.append, clock)
    details = {"Text": "x" * 2000}
    with full(disk):
        for number in range(200):
            keeper.append(made(details=details | {"N": str(number)}))
            keeper.store()
            clock.now += RETRY
        assert "full" in keeper.problem
        assert [r.event_id for r in kept(keeper)] == list(range(1, 201))  # also while it lasts
    keeper.append(made())
    for _ in attempts(10):  # a file system may give the room back a moment later
        clock.now += RETRY
        keeper.store()
        if not keeper.problem:
            break
    assert keeper.problem == ""
    assert keeper.dropped == 0
    assert [r.event_id for r in kept(keeper)] == list(range(1, 203))
    assert shown[-1].event_type == "DiskProblem"
    assert shown[-1].details["Dropped"] == "0"
    keeper.close()
    again = Keeper(disk / "events.db", LIMIT, shown.append, clock)
    again.store()
    assert [r.event_id for r in kept(again)] == list(range(1, 203))
    again.close()


def test_what_is_too_much_to_hold_is_counted(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(tmp_path / "events.db", LIMIT, shown.append, clock)
    keeper.store()
    with locked(tmp_path / "events.db"):
        for _ in range(HELD + 25):
            keeper.append(made())
            keeper.store()
        assert keeper.dropped == 25
    keeper.store(now=True)
    assert shown[-1].details["Dropped"] == "25"
    assert len(kept(keeper)) == HELD + 1
    keeper.close()


@pytest.mark.root
def test_a_disk_that_is_full_from_the_start(
    disk: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    with full(disk):
        keeper = Keeper(disk / "events.db", LIMIT, shown.append, clock)
        keeper.append(made())
        keeper.store()
        assert keeper.problem
        assert len(kept(keeper)) == 1
    keeper.store(now=True)
    assert [r.event_type for r in kept(keeper)] == ["TaskStateChanged", "DiskProblem"]
    keeper.close()


@pytest.mark.root
def test_a_file_that_opens_late_keeps_its_events(
    disk: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    before = Keeper(disk / "events.db", LIMIT, shown.append, clock)
    for number in range(3):
        before.append(made(details={"N": str(number)}))
    before.store()
    before.close()
    read_only(disk, True)
    keeper = Keeper(disk / "events.db", LIMIT, shown.append, clock)
    keeper.store()
    assert keeper.problem
    assert keeper.ends() == (1, 0)
    keeper.append(made(details={"N": "3"}))
    assert [r.details["N"] for r in kept(keeper)] == ["3"]
    read_only(disk, False)
    numberings = keeper.numberings
    keeper.store(now=True)
    assert keeper.numberings == numberings + 1
    assert [(r.event_id, r.details.get("N")) for r in kept(keeper)] == [
        (1, "0"),
        (2, "1"),
        (3, "2"),
        (4, "3"),
        (5, None),
    ]
    keeper.close()


def test_a_disk_in_trouble_is_not_tried_at_each_event(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(tmp_path / "events.db", LIMIT, shown.append, clock)
    keeper.store()
    with locked(tmp_path / "events.db"):
        keeper.append(made())
        keeper.store()
        assert keeper.problem
    keeper.append(made())
    keeper.store()
    assert keeper.problem
    clock.now += RETRY
    keeper.append(made())
    keeper.store()
    assert not keeper.problem
    assert len(kept(keeper)) == 4
    keeper.close()


def test_a_file_size_limit_is_a_full_disk(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(tmp_path / "events.db", LIMIT, shown.append, clock)
    keeper.store()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        for number in range(200):
            keeper.append(made(details={"N": str(number), "Text": "x" * 2000}))
            keeper.store(now=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert keeper.problem
    keeper.store(now=True)
    assert [r.details["N"] for r in kept(keeper) if "N" in r.details] == [
        str(n) for n in range(200)
    ]
    keeper.close()


def test_another_program_that_locks_the_file_is_waited_out(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(tmp_path / "events.db", LIMIT, shown.append, clock)
    keeper.store()
    with locked(tmp_path / "events.db"):
        keeper.append(made())
        keeper.store()
        assert "locked" in keeper.problem
    keeper.store(now=True)
    assert [r.event_type for r in kept(keeper)] == ["TaskStateChanged", "DiskProblem"]
    keeper.close()


@pytest.mark.parametrize("damage", ["rubbish", "cut", "foreign"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    damage: str, tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    path = tmp_path / "events.db"
    first = Keeper(path, LIMIT, shown.append, clock)
    for _ in range(100):
        first.append(made())
    first.store()
    first.close()
    if damage == "foreign":
        path.unlink()
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE t (a)")
        other.close()
    else:
        path.write_bytes(os.urandom(20_000) if damage == "rubbish" else path.read_bytes()[:5000])
    before = path.read_bytes()
    keeper = Keeper(path, LIMIT, shown.append, clock)
    keeper.store()
    assert (tmp_path / "events.db.set-aside").read_bytes() == before
    keeper.append(made())
    keeper.store()
    assert [r.event_type for r in kept(keeper)] == ["EventsDamaged", "TaskStateChanged"]
    assert kept(keeper)[0].details["File"].endswith("events.db.set-aside")
    keeper.close()


def test_damage_that_shows_while_running_costs_no_new_event(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    path = tmp_path / "events.db"
    keeper = Keeper(path, LIMIT, shown.append, clock)
    for number in range(2000):
        keeper.append(made(details={"N": str(number), "Text": "x" * 300}))
        keeper.store()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (path.stat().st_size - 8192))
    with pytest.raises(JournalError, match="holds no events that can be read"):
        kept(keeper)
    keeper.append(made())
    keeper.store()
    found = kept(keeper)
    assert [r.event_type for r in found] == ["EventsDamaged", "TaskStateChanged"]
    assert [r.event_id for r in found] == [2001, 2002]  # numbers go on
    keeper.close()


def test_a_folder_that_is_not_there_is_a_problem_and_no_error(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(tmp_path / "absent" / "events.db", LIMIT, shown.append, clock)
    keeper.append(made())
    keeper.store()
    assert "No such file" in keeper.problem
    keeper.set_limit(5)
    keeper.close()
    (tmp_path / "absent").mkdir()
    keeper.store(now=True)
    assert len(kept(keeper)) == 2
    keeper.close()


def test_a_file_that_cannot_be_set_aside_is_a_problem(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(os.urandom(20_000))
    (tmp_path / "events.db.set-aside").mkdir()  # in the way
    keeper = Keeper(path, LIMIT, shown.append, clock)
    keeper.append(made())
    keeper.store()
    assert "not a database" in keeper.problem
    assert len(kept(keeper)) == 1
    keeper.close()


def test_a_lower_limit_counts_at_once(
    tmp_path: Path, shown: list[Record], clock: Clock, made: Callable[..., Record]
) -> None:
    keeper = Keeper(tmp_path / "events.db", LIMIT, shown.append, clock)
    for _ in range(50):
        keeper.append(made())
    keeper.store()
    keeper.set_limit(10)
    assert [r.event_id for r in kept(keeper)] == list(range(41, 51))
    keeper.set_limit(0)  # means one
    assert [r.event_id for r in kept(keeper)] == [50]
    keeper.close()
