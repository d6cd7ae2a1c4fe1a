from __future__ import annotations

import os
import uuid

import pytest

from deodar.kit.journal.errors import JournalUnavailable
from deodar.kit.journal.files import (
    Marks,
    close,
    hold,
    identity,
    open_existing,
    read_all,
    remove_leftovers,
    segment_files,
    telling,
    write_all,
)


def test_the_last_mark_is_read_back(tmp_path):
    marks = Marks(tmp_path / "marks")
    assert marks.read() == 0
    for number in (1, 5, 2**64 - 1):
        marks.write(number)
        assert Marks(tmp_path / "marks").read() == number
    marks.sync()
    marks.close()
    assert (tmp_path / "marks").stat().st_size == 1024


def test_a_reopened_file_spares_the_slot_that_counts(tmp_path):
    for number in range(1, 6):
        marks = Marks(tmp_path / "marks")
        assert marks.read() == number - 1
        before = (tmp_path / "marks").read_bytes()
        marks.write(number)
        marks.close()
        after = (tmp_path / "marks").read_bytes()
        changed = {i // 512 for i in range(len(after)) if before[i] != after[i]}
        assert len(changed) == 1
        # Losing the slot just written brings the one before back.
        slot = changed.pop() * 512
        (tmp_path / "lost").write_bytes(after[:slot] + bytes(12) + after[slot + 12 :])
        assert Marks(tmp_path / "lost").read() == number - 1


def test_an_identity_is_made_once(tmp_path):
    made = identity(tmp_path, [])
    assert str(uuid.UUID(made)) == made
    assert identity(tmp_path, [str(uuid.uuid4())]) == made


def test_a_lock_is_held_by_one(tmp_path):
    holder = hold(tmp_path)
    with pytest.raises(JournalUnavailable, match="another process"):
        hold(tmp_path)
    holder.close()
    hold(tmp_path).close()


def test_segments_are_listed_by_number_and_other_files_are_not(tmp_path):
    for name in ("00000000000000000010.segment", "9.segment", "x.segment", "next", "identity"):
        (tmp_path / name).touch()
    assert [number for number, _ in segment_files(tmp_path)] == [9, 10]


def test_whole_reads_and_writes(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    write_all(descriptor, b"0123456789", 2)
    assert read_all(descriptor, 5, 4) == b"23456"
    assert read_all(descriptor, 50, 10) == b"89"
    close(descriptor)
    close(-1)
    assert open_existing(tmp_path / "absent") == -1


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    for name in ("next", "replacement", "identity.new", "identity"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["identity"]


def test_errors_of_the_disk_say_what_could_not_be_done(tmp_path):
    expected = pytest.raises(
        JournalUnavailable, match=r"cannot mend the journal .*: Is a directory"
    )
    with expected, telling(tmp_path, "mend"):
        os.open(tmp_path, os.O_WRONLY)
