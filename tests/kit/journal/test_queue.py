from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deodar.kit.journal import (
    Journal,
    JournalFull,
    JournalUnavailable,
    Record,
    RecordTooLarge,
)


def _numbers(journal: Journal, after: int = 0) -> list[int]:
    return [record.number for record in journal.read(after)]


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def _fill(journal: Journal, size: int) -> None:
    for _ in range(1_000):
        journal.append(b"h", b"x" * size)


def test_records_come_back_in_order_with_rising_numbers(tmp_path):
    with Journal(tmp_path) as journal:
        assert [journal.append(b"h%d" % n, b"body %d" % n) for n in range(3)] == [1, 2, 3]
        assert list(journal.read()) == [
            Record(1, b"h0", b"body 0"),
            Record(2, b"h1", b"body 1"),
            Record(3, b"h2", b"body 2"),
        ]
        assert (journal.first(), journal.last(), len(journal)) == (1, 3, 3)


def test_an_empty_journal_says_so(tmp_path):
    with Journal(tmp_path) as journal:
        assert (journal.first(), journal.last(), len(journal)) == (0, 0, 0)
        assert (journal.last_header, journal.bytes_used, journal.damage) == (b"", 0, ())
        assert list(journal.read()) == []
        assert journal.append_many([]) == []
        assert journal.stretches() == []


def test_everything_is_there_again_after_reopening(tmp_path):
    with Journal(tmp_path, segment_bytes=200) as journal:
        journal.append_many([(b"h%d" % n, bytes([n]) * n) for n in range(50)])
        journal.append(b"last", b"")
        journal.acknowledge(10)
        before, identity = list(journal.read()), journal.identity
    with Journal(tmp_path) as again:
        assert list(again.read()) == before
        assert (again.identity, again.last_header) == (identity, b"last")
        assert (again.first(), again.last(), again.acknowledged) == (11, 51, 10)
        assert again.append(b"", b"") == 52
        assert (again.cut_bytes, again.damage) == (0, ())


def test_a_record_is_on_disk_when_append_returns(tmp_path, monkeypatch):
    order = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (order.append("sync"), real(fd))[1])
    with Journal(tmp_path) as journal:
        journal.append(b"", b"first: its segment is forced to disk before it and with it")
        order.clear()
        journal.append_many([(b"", b"one"), (b"", b"two"), (b"", b"three")])
        assert order == ["sync"]


def test_without_sync_the_disk_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fdatasync", lambda _fd: pytest.fail("fdatasync called"))
    with Journal(tmp_path, sync=False, segment_bytes=50) as journal:
        journal.append_many([(b"", b"x" * 30)])
        journal.append_many([(b"", b"x" * 30)])
        journal.acknowledge(1)
        assert _numbers(journal) == [2]


def test_acknowledged_segments_are_deleted_and_the_newest_stays(tmp_path):
    with Journal(tmp_path, segment_bytes=100) as journal:
        for _ in range(10):
            journal.append(b"", b"x" * 60)
        assert len(_segments(tmp_path)) == 10
        journal.acknowledge(7)
        assert [path.name[:20] for path in _segments(tmp_path)] == [f"{n:020d}" for n in (8, 9, 10)]
        journal.acknowledge(3)  # an older one again
        assert journal.acknowledged == 7
        journal.acknowledge(10)
        assert len(_segments(tmp_path)) == 1


def test_the_last_header_and_number_outlive_every_record(tmp_path):
    with Journal(tmp_path, segment_bytes=100) as journal:
        for n in range(5):
            journal.append(b"token %d" % n, b"x" * 90)
        journal.acknowledge(5)
        assert len(journal) == 0
    with Journal(tmp_path) as again:
        assert (again.last_header, again.last(), again.first()) == (b"token 4", 5, 0)
    with Journal(tmp_path, max_bytes=600) as bounded:
        assert bounded.append(b"t", b"x" * 300) == 6
        bounded.acknowledge(6)
        bounded.seal()  # leaves a segment without any record
        assert bounded.last_header == b"t"
    with Journal(tmp_path) as again:
        assert (again.last_header, again.last(), len(again)) == (b"t", 6, 0)
        assert again.append(b"", b"") == 7


def test_a_number_that_was_never_given_cannot_be_acknowledged(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(b"", b"")
        with pytest.raises(ValueError, match="record 2 does not exist; the last one is 1"):
            journal.acknowledge(2)
        assert journal.acknowledged == 0


def test_losing_the_newest_acknowledgement_repeats_records_and_skips_none(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append_many([(b"", b"%d" % n) for n in range(5)])
        journal.acknowledge(2)
        older = (tmp_path / "acknowledged").read_bytes()
        journal.acknowledge(4)
        newer = (tmp_path / "acknowledged").read_bytes()
    assert older != newer
    for content, expected in ((older, [3, 4, 5]), (newer, [5]), (b"", [1, 2, 3, 4, 5])):
        (tmp_path / "acknowledged").write_bytes(content)
        with Journal(tmp_path) as again:
            assert _numbers(again) == expected


def test_a_torn_acknowledgement_leaves_the_one_before(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append_many([(b"", b"")] * 9)
        journal.acknowledge(3)
        before = (tmp_path / "acknowledged").read_bytes()
        journal.acknowledge(7)
        after = (tmp_path / "acknowledged").read_bytes()
    changed = [i for i in range(len(after)) if i >= len(before) or before[i] != after[i]]
    for position in changed:
        torn = after[:position] + bytes([after[position] ^ 0x40]) + after[position + 1 :]
        (tmp_path / "acknowledged").write_bytes(torn)
        with Journal(tmp_path) as again:
            assert again.acknowledged == 3


def test_a_full_journal_refuses_and_takes_again_when_some_is_acknowledged(tmp_path):
    with Journal(tmp_path, max_bytes=4_000) as journal:
        with pytest.raises(JournalFull, match=r"is full: \d+ of 4000 bytes are used and 725 more"):
            _fill(journal, 700)
        count = journal.last()
        assert 4 <= count <= 5
        assert journal.bytes_used <= 4_000
        journal.acknowledge(2)
        assert journal.append(b"", b"x" * 700) == count + 1


def test_a_full_journal_of_acknowledged_records_is_not_full(tmp_path):
    with Journal(tmp_path, max_bytes=1_000, segment_bytes=1 << 20) as journal:
        for n in range(1, 50):
            assert journal.append(b"%d" % n, b"x" * 700) == n
            journal.acknowledge(n)
        assert journal.bytes_used <= 1_000


def test_a_record_that_can_never_fit_is_told_apart_from_a_full_journal(tmp_path):
    with Journal(tmp_path, max_bytes=1_000) as journal:
        with pytest.raises(RecordTooLarge, match="1124 bytes can never be stored"):
            journal.append(b"", b"x" * 1_100)
        assert journal.append(b"", b"small") == 1


@pytest.mark.parametrize("size", range(900, 1_000))
def test_what_is_not_too_large_fits_when_all_else_is_done(tmp_path, size):
    with Journal(tmp_path, max_bytes=1_000) as journal:
        for number in range(1, 4):
            try:
                assert journal.append(b"header", b"x" * size) == number
            except RecordTooLarge:
                assert size + len(b"header") + 24 + 48 + len(journal.last_header) > 1_000
                return
            journal.acknowledge(number)
            assert journal.bytes_used <= 1_000


def test_a_batch_is_stored_as_a_whole_or_not_at_all(tmp_path):
    with Journal(tmp_path, max_bytes=1_000) as journal:
        journal.append(b"", b"x" * 500)
        with pytest.raises(JournalFull):
            journal.append_many([(b"", b"x" * 200), (b"", b"x" * 200), (b"", b"x" * 200)])
        assert _numbers(journal) == [1]
        assert journal.append_many([(b"a", b"x" * 50), (b"b", b"y")]) == [2, 3]


def test_two_processes_cannot_have_one_journal(tmp_path):
    code = "import sys; from pathlib import Path; from deodar.kit.journal import Journal\n"
    code += "Journal(Path(sys.argv[1]))"
    with Journal(tmp_path):
        other = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60
        )
    assert "another process has the journal" in other.stderr


def test_a_closed_journal_refuses(tmp_path):
    journal = Journal(tmp_path)
    journal.append(b"", b"")
    journal.close()
    journal.close()
    with pytest.raises(JournalUnavailable, match="is closed"):
        journal.append(b"", b"")
    with pytest.raises(JournalUnavailable):
        journal.acknowledge(1)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalUnavailable, match="cannot open the journal"):
        Journal(tmp_path / "file" / "journal")


def test_threads_may_append_read_and_acknowledge_at_once(tmp_path):
    total, writers = 400, 4
    with Journal(tmp_path, segment_bytes=2_000, sync=False) as journal:
        seen: list[Record] = []
        everything = threading.Event()

        def write(name: int) -> None:
            for n in range(total // writers):
                journal.append(b"%d" % name, b"%d " % n * 10)

        def read() -> None:
            while len(seen) < total and not everything.wait(0.001):
                for record in journal.read(seen[-1].number if seen else 0):
                    seen.append(record)
                    if record.number % 7 == 0:
                        journal.acknowledge(record.number)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
        reader = threading.Thread(target=read)
        for thread in [*threads, reader]:
            thread.start()
        for thread in threads:
            thread.join(30)
        reader.join(30)
        everything.set()
        assert [record.number for record in seen] == list(range(1, total + 1))
        for name in range(writers):
            own = [record.body for record in seen if record.header == b"%d" % name]
            assert own == [b"%d " % n * 10 for n in range(total // writers)]


# Any life


def test_a_killed_process_loses_nothing_that_was_confirmed(tmp_path):
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from deodar.kit.journal import Journal
        journal = Journal(Path(sys.argv[1]), segment_bytes=20_000, sync=False)
        while True:
            number = journal.append(b"%d" % (journal.last() + 1), b"x" * 3_000)
            print(number, flush=True)
            if number % 5 == 0:
                journal.acknowledge(number - 3)
    """)
    confirmed = 0
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(60):
            confirmed = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")
        child.wait(30)
        confirmed = max([confirmed, *(int(line) for line in rest[:-1])])
        with Journal(tmp_path) as journal:
            assert journal.last() >= confirmed
            assert journal.acknowledged <= confirmed
            for record in journal.read():
                assert record.header == b"%d" % record.number
            numbers = _numbers(journal)
            assert set(range(journal.acknowledged + 1, confirmed + 1)) <= set(numbers)
            assert journal.damage == ()


# Against a model


_BODIES = st.binary(max_size=60)


class _Model(RuleBasedStateMachine):
    """A journal does what a plain list does, over any order of operations and reopenings."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.home = tempfile.TemporaryDirectory()
        self.folder = Path(self.home.name)
        self.journal = Journal(self.folder, segment_bytes=200, sync=False)
        self.records: list[Record] = []
        self.last, self.header = 0, b""

    @rule(batch=st.lists(st.tuples(st.binary(max_size=9), _BODIES), max_size=4))
    def append(self, batch):
        numbers = self.journal.append_many(batch)
        assert numbers == [self.last + 1 + n for n in range(len(batch))]
        self.records += [Record(n, *item) for n, item in zip(numbers, batch, strict=True)]
        if batch:
            self.last, self.header = numbers[-1], batch[-1][0]

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share):
        number = int(self.last * share)
        self.journal.acknowledge(number)
        self.records = [record for record in self.records if record.number > number]

    @rule()
    def seal(self):
        self.journal.seal()

    @precondition(lambda self: any(one.sealed for one in self.journal.stretches()))
    @rule(data=st.data())
    def replace(self, data):
        sealed = [one for one in self.journal.stretches() if one.sealed]
        one = data.draw(st.sampled_from(sealed))
        inside = [r for r in self.records if one.first <= r.number <= one.last]
        kept = data.draw(st.lists(st.sampled_from(inside), unique=True))
        new = sorted(record._replace(body=b"less") for record in kept)
        replacement = self.journal.prepare(one.first, new)
        assert self.journal.replace(replacement)
        assert self.journal.is_replaced(replacement.mark)
        rest = [r for r in self.records if not one.first <= r.number <= one.last]
        self.records = sorted([*rest, *new])

    @rule()
    def reopen(self):
        self.journal.close()
        self.journal = Journal(self.folder, segment_bytes=200, sync=False)
        assert (self.journal.cut_bytes, self.journal.damage) == (0, ())

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def read_from_the_middle(self, data):
        after = data.draw(st.sampled_from(self.records)).number
        assert list(self.journal.read(after)) == [r for r in self.records if r.number > after]

    @invariant()
    def same_content(self):
        assert list(self.journal.read()) == self.records
        assert len(self.journal) == len(self.records)
        assert self.journal.first() == (self.records[0].number if self.records else 0)
        assert (self.journal.last(), self.journal.last_header) == (self.last, self.header)
        files = sum(path.stat().st_size for path in self.folder.glob("*.segment"))
        assert self.journal.bytes_used == files

    def teardown(self):
        self.journal.close()
        self.home.cleanup()


_Model.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestAgainstAModel = _Model.TestCase


@given(st.binary(max_size=5_000), st.binary(max_size=5_000))
@settings(max_examples=30, deadline=None)
def test_any_bytes_may_be_header_and_body(tmp_path_factory, header, body):
    with Journal(tmp_path_factory.mktemp("any"), sync=False) as journal:
        journal.append(header, body)
        assert list(journal.read()) == [Record(1, header, body)]
