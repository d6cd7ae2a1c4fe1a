from __future__ import annotations

import hashlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppdeep
import pytest

from deodar.agent.hashing.budget import BURST
from deodar.agent.hashing.cache import FactsCache
from deodar.agent.hashing.facts import FileFacts, Rest
from deodar.agent.hashing.job import Job
from deodar.agent.hashing.process import HashProcess
from deodar.agent.hashing.service import Hashing, Limits
from deodar.agent.hashing.tally import Skip
from deodar.agent.settings import HashSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTENT = bytes(range(256)) * 40
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def hashing() -> Iterator[Hashing]:
    limits = Limits(opening=0.3, reading=30, fuzzy=30)
    made = Hashing(HashSettings(), FactsCache(16), limits)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def run(hashing: Hashing, path: Path, identity: Any = None) -> Job:
    """Carry a file to its end."""
    job = Job(identity, [str(path)], hashing.finish)
    assert hashing.begin(job)
    assert job.ended.wait(60)
    while hashing.finished.get(timeout=20) is not job:
        pass
    return job


def facts_of(job: Job) -> FileFacts:
    assert job.facts is not None
    return job.facts


def test_file_comes_to_its_end_with_all_facts(hashing: Hashing, file: Path) -> None:
    job = run(hashing, file)
    facts = facts_of(job)
    assert facts.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert facts.fuzzy == ppdeep.hash(CONTENT)
    assert (facts.entropy, facts.rest) == (8000, Rest.NOTHING)
    assert job.is_kept
    assert hashing.tally.by_reason() == {}
    assert hashing.budget.level() < 10


def test_file_that_is_known_is_not_read_again(hashing: Hashing, file: Path) -> None:
    first = facts_of(run(hashing, file))
    level = hashing.process.starts, facts_of(run(hashing, file))
    assert level == (1, first)


def test_fuzzy_hash_alone_can_be_made_up_for(hashing: Hashing, file: Path) -> None:
    hashing.budget.spend(0.6 * BURST)
    first = run(hashing, file)
    assert facts_of(first).rest is Rest.SKIPPED
    hashing.budget.spend(-0.6 * BURST)
    process, hashing.process = hashing.process, HashProcess(lambda _: None)
    hashing.process.close()  # what is known stays when it fails
    again = Job(first.identity, [str(file)], hashing.finish)
    again.facts = replace(facts_of(first), rest=Rest.COMING)
    assert hashing.begin_fuzzy(again)
    assert again.ended.wait(60)
    assert again.facts == facts_of(first)
    hashing.process = process
    whole = facts_of(run(hashing, file))
    assert whole == replace(facts_of(first), fuzzy=ppdeep.hash(CONTENT), rest=Rest.NOTHING)


def test_file_that_is_gone_has_no_facts(hashing: Hashing, tmp_path: Path) -> None:
    job = run(hashing, tmp_path / "gone")
    assert job.facts is None
    assert not job.is_kept


def test_file_on_which_the_process_dies_is_tried_twice_and_remembered(
    hashing: Hashing, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = hashing.process.ask

    def killed(*arguments: Any) -> Any:
        """Let the process be there, and dead before it is asked."""
        asked.append(hashing.process._ready().pid)
        os.kill(asked[-1], signal.SIGKILL)
        return ask(*arguments)

    monkeypatch.setattr(hashing.process, "ask", killed)
    job = run(hashing, file)
    assert len(asked) == 2
    assert job.is_kept
    assert facts_of(job).sha256 == ""
    assert hashing.tally.by_reason() == {Skip.UNREADABLE.value: 1}


def test_while_the_process_may_not_be_started_nothing_is_remembered(
    hashing: Hashing, file: Path
) -> None:
    hashing.process.close()
    job = run(hashing, file)
    assert not job.is_kept
    assert facts_of(job).size == len(CONTENT)
    assert hashing.tally.by_reason() == {Skip.NO_PROCESS.value: 1}


def test_error_in_the_agent_is_counted_and_not_remembered(
    hashing: Hashing, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing.budget, "allows", lambda: 1 / 0)
    job = run(hashing, file)
    assert not job.is_kept
    assert (facts_of(job).sha256, facts_of(job).rest) == ("", Rest.NOTHING)
    assert hashing.tally.by_reason() == {Skip.FAILED.value: 1}


def test_queue_is_bounded(hashing: Hashing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing.quick, "put", lambda job: False)
    assert not hashing.begin(Job(None, ["/bin/true"], hashing.finish))
    assert hashing.tally.by_reason() == {Skip.QUEUE.value: 1}


@pytest.mark.root
@needs_root
def test_file_system_that_does_not_open_is_remembered(
    hashing: Hashing, hanging: Path, file: Path
) -> None:
    from deodar.agent.hashing.facts import identity_of

    path = hanging / "hang-open"
    began = time.monotonic()
    job = run(hashing, path, identity_of(path.stat()))
    assert time.monotonic() - began < 10
    assert job.is_kept
    assert facts_of(job).size == path.stat().st_size
    assert hashing.tally.by_reason() == {Skip.NO_OPEN.value: 1}
    assert facts_of(run(hashing, file)).fuzzy == ppdeep.hash(CONTENT)


@pytest.mark.root
@needs_root
def test_file_system_that_does_not_read_costs_one_time_out(
    hanging: Path, file: Path, until: Callable[..., Any]
) -> None:
    hashing = Hashing(HashSettings(), FactsCache(16), Limits(reading=1.0, bytes_per_second=1e9))
    run(hashing, file)
    first = hashing.process.pid
    good = facts_of(run(hashing, hanging / "good"))
    assert good.sha256 != ""
    job = run(hashing, hanging / "hang-read")
    assert job.is_kept
    facts = facts_of(job)
    assert (facts.sha256, facts.rest) == ("", Rest.NOTHING)
    assert facts.header.startswith("2321")
    assert hashing.tally.by_reason() == {Skip.HUNG.value: 1}
    assert job.identity is not None
    began = time.monotonic()
    assert facts_of(run(hashing, hanging / "hang-read", job.identity)) == facts
    assert time.monotonic() - began < 1
    file.write_bytes(b"changed")
    assert facts_of(run(hashing, file)).sha256 == hashlib.sha256(b"changed").hexdigest()
    assert hashing.process.pid not in (None, first)
    hashing.close()
