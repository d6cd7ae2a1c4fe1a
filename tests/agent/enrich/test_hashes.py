from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import ppdeep
import pytest

from deodar.agent.enrich import hashes as module
from deodar.agent.enrich.hashes import OUTSTANDING, FileFacts, FileHasher, identity_of
from deodar.agent.hashing.budget import BURST
from deodar.agent.hashing.facts import ELF, Rest
from deodar.agent.hashing.service import Limits
from deodar.agent.hashing.tally import Skip
from deodar.agent.settings import HashSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT = b"\x7fELF" + bytes(range(256)) * 300
HUGE = 32 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def hasher() -> Iterator[Callable[..., FileHasher]]:
    made: list[FileHasher] = []

    def make(limits: Limits | None = None, **settings: object) -> FileHasher:
        known: dict[str, object] = {"maximum_wait": 30.0, **settings}
        made.append(FileHasher(msgspec.convert(known, HashSettings), limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    path = tmp_path / "huge"
    with path.open("wb") as opened:
        opened.truncate(HUGE)
    return path


def answers(hashes: FileHasher, *asked: tuple[Any, list[str]]) -> list[FileFacts | None]:
    """Ask for some files and return what is told of them."""
    told: list[FileFacts | None] = []
    for identity, paths in asked:
        assert hashes.ask(identity, paths, told.append)
    deadline = time.monotonic() + 60
    while len(told) < len(asked):
        assert time.monotonic() < deadline
        hashes.collect()
        time.sleep(0.01)
    return told


def test_facts_are_right(file: Path, hasher: Callable[..., FileHasher]) -> None:
    facts = hasher().facts(identity_of(file.stat()), [str(file)])
    assert facts is not None
    assert facts.md5 == hashlib.md5(CONTENT).hexdigest()
    assert facts.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert facts.size == len(CONTENT)
    assert facts.modified_us == file.stat().st_mtime_ns // 1000
    assert facts.file_type == ELF
    assert facts.header == CONTENT[:16].hex()
    assert facts.entropy == 8000


def test_same_content_is_read_once(file: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher()
    identity = identity_of(file.stat())
    first, second = (hashes.facts(identity, [path]) for path in (str(file), "/nowhere"))
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256 != ""
    assert (hashes.hits, hashes.misses) == (1, 1)


def test_changed_content_is_read_again(file: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher()
    before = hashes.facts(identity_of(file.stat()), [str(file)])
    file.write_bytes(b"#!/bin/sh\n")
    after = hashes.facts(identity_of(file.stat()), [str(file)])
    assert before is not None
    assert after is not None
    assert after.sha256 == hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    assert not after.is_elf


def test_another_file_under_the_name_is_not_hashed(
    file: Path, tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    identity = identity_of(file.stat())
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    other.rename(file)
    hashes = hasher()
    assert hashes.facts(identity, [str(file)]) is None
    assert hashes.failures == 1


def test_first_path_that_leads_to_the_file_counts(
    file: Path, tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    decoy = tmp_path / "decoy"
    shutil.copy(file, decoy)
    paths = [str(tmp_path / "missing"), str(tmp_path), str(decoy), "bad\0name", str(file)]
    facts = hasher().facts(identity_of(file.stat()), paths)
    assert facts is not None
    assert facts.modified_us == file.stat().st_mtime_ns // 1000


def test_file_without_a_path_is_known_or_not(file: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher()
    assert hashes.facts(identity_of(file.stat()), []) is None
    facts = hashes.facts(identity_of(file.stat()), [str(file)])
    again = hashes.facts(identity_of(file.stat()), [])
    assert facts is not None
    assert again is not None
    assert again.sha256 == facts.sha256 != ""


def test_without_an_identity_the_path_is_believed(
    file: Path, hasher: Callable[..., FileHasher]
) -> None:
    facts = hasher().facts(None, [str(file)])
    assert facts is not None
    assert facts.md5 == hashlib.md5(CONTENT).hexdigest()


def test_pipes_and_folders_are_never_read(
    tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert hasher().facts(None, [str(pipe), str(tmp_path)]) is None


def test_large_file_has_facts_but_no_hashes(file: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher(maximum_file_bytes=100)
    facts = hashes.facts(identity_of(file.stat()), [str(file)])
    assert facts is not None
    assert (facts.size, facts.md5, facts.sha256) == (len(CONTENT), "", "")
    assert facts.header == CONTENT[:16].hex()
    assert hashes.counters().limited == {Skip.SIZE.value: 1}


def test_hashing_can_be_turned_off(file: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher(enabled=False)
    facts = hashes.facts(identity_of(file.stat()), [str(file)])
    assert facts is not None
    assert facts.sha256 == ""
    assert (hashes.counters().starts, hashes.counters().pid) == (0, None)


def test_event_does_not_wait_longer_than_allowed(
    huge: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher(maximum_wait=0.01, fuzzy=False)
    identity = identity_of(huge.stat())
    started = time.monotonic()
    facts = hashes.facts(identity, [str(huge)])
    assert time.monotonic() - started < 1
    assert facts is not None
    assert (facts.size, facts.sha256, facts.rest) == (HUGE, "", Rest.COMING)
    assert hashes.timeouts == 1
    deadline = time.monotonic() + 60
    while facts.rest is Rest.COMING and time.monotonic() < deadline:
        time.sleep(0.05)
        facts = hashes.latest(facts)
    assert facts.sha256 == hashlib.sha256(bytes(HUGE)).hexdigest()
    assert hashes.facts(identity, []) == facts


def test_events_after_one_that_waited_in_vain_wait_less(
    tmp_path: Path, hasher: Callable[..., FileHasher], until: Callable[..., Any]
) -> None:
    hashes = hasher(maximum_wait=0.4)
    first = tmp_path / "first"
    first.write_bytes(b"first")
    answers(hashes, (None, [str(first)]))
    pid = hashes.counters().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    tasks = list(Path(f"/proc/{pid}/task").glob("*/stat"))
    until(lambda: all(" T " in task.read_text() for task in tasks))
    waited = []
    for number in range(4):
        file = tmp_path / str(number)
        file.write_bytes(b"%d" % number)
        began = time.monotonic()
        assert hashes.facts(None, [str(file)]) is not None
        waited.append(time.monotonic() - began)
    assert waited[3] < waited[0] / 2
    assert hashes.timeouts >= 4


def test_fuzzy_hash_is_there_at_once_or_soon(
    tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher()
    for name, size in (("small", 10_000), ("large", 500_000)):
        file, content = tmp_path / name, os.urandom(size)
        file.write_bytes(content)
        facts = hashes.facts(identity_of(file.stat()), [str(file)])
        assert facts is not None
        assert facts.sha256 == hashlib.sha256(content).hexdigest()
        deadline = time.monotonic() + 60
        while facts.rest is Rest.COMING:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            facts = hashes.latest(facts)
        assert facts.fuzzy == ppdeep.hash(content)
        assert hashes.facts(identity_of(file.stat()), []) == facts


def test_fuzzy_hash_has_limits_of_its_own(file: Path, hasher: Callable[..., FileHasher]) -> None:
    (off,) = answers(hasher(fuzzy=False), (None, [str(file)]))
    bounded = hasher(maximum_fuzzy_bytes=len(CONTENT) - 1)
    (large,) = answers(bounded, (None, [str(file)]))
    for facts in (off, large):
        assert facts is not None
        assert (facts.fuzzy, facts.rest) == ("", Rest.NOTHING)
        assert facts.sha256 != ""
    assert bounded.counters().limited == {Skip.FUZZY_SIZE.value: 1}


def test_over_its_ceiling_hashing_gives_up_the_fuzzy_hash_first(
    file: Path, tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher(processor_percent=0.001)
    identity = identity_of(file.stat())
    hashes._hashing.budget.spend(0.6 * BURST)
    (facts,) = answers(hashes, (identity, [str(file)]))
    assert facts is not None
    assert facts.sha256 != ""
    assert (facts.fuzzy, facts.rest) == ("", Rest.SKIPPED)
    hashes._hashing.budget.spend(0.6 * BURST)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    plain = hashes.facts(None, [str(other)])
    assert plain is not None
    assert (plain.size, plain.sha256) == (5, "")
    skipped = {Skip.FUZZY_BUDGET.value: 1, Skip.BUDGET.value: 1}
    assert hashes.counters().skipped == skipped
    hashes._hashing.budget.spend(-2 * BURST)  # time has passed: what was left out is made up for
    again = hashes.facts(None, [str(other)])
    assert again is not None
    assert again.sha256 == hashlib.sha256(b"other").hexdigest()
    (facts,) = answers(hashes, (identity, [str(file)]))
    assert facts is not None
    assert facts.fuzzy == ppdeep.hash(CONTENT)


def test_who_asks_does_not_wait(huge: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher(fuzzy=False)
    began = time.monotonic()
    told: list[FileFacts | None] = []
    assert hashes.ask(identity_of(huge.stat()), [str(huge)], told.append)
    assert time.monotonic() - began < 0.5
    assert told == []
    (facts,) = answers(hashes, (identity_of(huge.stat()), [str(huge)]))
    assert facts is not None
    assert facts.sha256 == hashlib.sha256(bytes(HUGE)).hexdigest()
    assert told == [facts]
    assert hashes.misses == 1


def test_answer_does_not_wait_long_for_the_fuzzy_hash(
    file: Path, hasher: Callable[..., FileHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FUZZY_ASKED", 0.1)
    hashes = hasher()
    before = hashes._hashing.slow
    monkeypatch.setattr(before, "put", lambda job: True)  # many wait before it
    (facts,) = answers(hashes, (None, [str(file)]))
    assert facts is not None
    assert facts.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (facts.fuzzy, facts.rest) == ("", Rest.COMING)
    assert hashes.collect() == 0


def test_every_question_has_one_answer(
    file: Path, tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher()
    identity = identity_of(file.stat())
    gone = answers(hashes, (None, [str(tmp_path / "gone")]))
    assert gone == [None]
    known = answers(hashes, (identity, [str(file)]))
    assert known[0] is not None
    assert known[0].fuzzy == ppdeep.hash(CONTENT)
    assert answers(hashes, *[(identity, ["/nowhere"])] * 3) == known * 3
    assert hashes.collect() == 0


def test_program_that_was_just_written_is_waited_for(
    file: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher()
    identity = identity_of(file.stat())
    assert hashes.ask(identity, [str(file)], lambda _: None)
    facts = hashes.facts(identity, [str(file)])
    assert facts is not None
    assert facts.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_questions_are_bounded_and_those_refused_counted(
    file: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher(enabled=False)
    identity = identity_of(file.stat())
    hashes.facts(identity, [str(file)])
    told: list[FileFacts | None] = []
    taken = [hashes.ask(identity, [], told.append) for _ in range(OUTSTANDING + 2)]
    assert taken == [True] * OUTSTANDING + [False] * 2
    assert hashes.counters().skipped == {Skip.QUEUE.value: 2}
    assert hashes.collect() == len(told) == OUTSTANDING
    assert hashes.ask(identity, [], told.append)


def test_cache_is_bounded_and_forgets_the_longest_unused(
    tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher(cache_entries=16, fuzzy=False)
    files = []
    for number in range(17):
        file = tmp_path / str(number)
        file.write_bytes(b"%d" % number)
        files.append((identity_of(file.stat()), [str(file)]))
    for identity, paths in files[:16]:
        hashes.facts(identity, paths)
    hashes.facts(*files[0])
    hashes.facts(*files[16])
    misses = hashes.misses
    hashes.facts(*files[0])
    assert hashes.misses == misses
    hashes.facts(*files[1])
    assert hashes.misses == misses + 1


def test_descriptors_and_threads_do_not_leak(
    file: Path, tmp_path: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher()
    answers(hashes, (None, [str(file)]))
    before = len(list(Path("/proc/self/fd").iterdir()))
    threads = threading.active_count()
    files = []
    for number in range(50):
        other = tmp_path / str(number)
        other.write_bytes(b"%d" % number)
        hashes.facts(identity_of(other.stat()), [str(file), str(other), str(tmp_path)])
        hashes.facts(None, [str(other)])
        files.append((identity_of(other.stat()), [str(other)]))
    answers(hashes, *files)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert threading.active_count() <= threads + 1


def test_nothing_runs_after_the_end(file: Path, hasher: Callable[..., FileHasher]) -> None:
    hashes = hasher()
    hashes.facts(None, [str(file)])
    pid = hashes.counters().pid
    assert pid is not None
    hashes.close()
    assert not Path(f"/proc/{pid}").exists()
    assert hashes.counters().pid is None


def test_the_fuzzy_hash_is_made_only_where_it_is_wanted(
    file: Path, hasher: Callable[..., FileHasher]
) -> None:
    hashes = hasher()
    told: list[FileFacts | None] = []
    assert hashes.ask(None, [str(file)], told.append, fuzzy=False)
    deadline = time.monotonic() + 60
    while not told:
        assert time.monotonic() < deadline
        hashes.collect()
    (facts,) = told
    assert facts is not None
    assert (facts.sha256, facts.fuzzy) == (hashlib.sha256(CONTENT).hexdigest(), "")
    assert hashes.counters().skipped == {}
    (later,) = answers(hashes, (identity_of(file.stat()), [str(file)]))
    assert later is not None
    assert later.fuzzy == ppdeep.hash(CONTENT)
