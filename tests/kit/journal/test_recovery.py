from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.kit.journal import Journal

_BODY = b"A body that holds \xd7DJR, the mark of a record, in its middle."


def _filled(folder: Path, count: int = 4, **options) -> list[Path]:
    with Journal(folder, **options) as journal:
        for n in range(1, count + 1):
            journal.append(b"h%d" % n, _BODY)
    return sorted(folder.glob("*.segment"))


def _headers(journal: Journal) -> list[bytes]:
    return [record.header for record in journal.read()]


def test_a_tail_torn_at_any_byte_is_cut_off_and_the_rest_stays(tmp_path):
    source = tmp_path / "source"
    (segment,) = _filled(source)
    whole = segment.read_bytes()
    record = 24 + len(b"h4") + len(_BODY)
    for length in range(len(whole) - record, len(whole)):
        folder = tmp_path / "torn"
        shutil.copytree(source, folder)
        (folder / segment.name).write_bytes(whole[:length])
        with Journal(folder) as journal:
            assert _headers(journal) == [b"h1", b"h2", b"h3"], length
            assert journal.cut_bytes == length - (len(whole) - record)
            assert (journal.damage, journal.last_header) == ((), b"h3")
            # A number that was torn is not given again; one that left no trace may be.
            assert journal.append(b"new", b"") >= (5 if journal.cut_bytes else 4)
        with Journal(folder) as journal:
            assert _headers(journal) == [b"h1", b"h2", b"h3", b"new"]
            assert (journal.cut_bytes, journal.damage) == (0, ())
        shutil.rmtree(folder)


def test_a_tail_of_zeros_as_a_power_cut_leaves_it_is_cut_off(tmp_path):
    (segment,) = _filled(tmp_path)
    segment.write_bytes(segment.read_bytes() + bytes(4096))
    with Journal(tmp_path) as journal:
        assert len(_headers(journal)) == 4
        assert journal.cut_bytes == 4096
        assert journal.damage == ()


def test_a_bit_flipped_anywhere_costs_one_record_and_is_set_aside(tmp_path):
    source = tmp_path / "source"
    (segment,) = _filled(source)
    whole = segment.read_bytes()
    size = 24 + 2 + len(_BODY)
    begin = len(whole) - 4 * size
    for position in range(begin, len(whole)):
        folder = tmp_path / "flipped"
        shutil.copytree(source, folder)
        flipped = bytearray(whole)
        flipped[position] ^= 0x10
        (folder / segment.name).write_bytes(flipped)
        broken = (position - begin) // size + 1
        with Journal(folder) as journal:
            good = [b"h%d" % n for n in range(1, 5) if n != broken]
            assert _headers(journal) == good, position
            if broken < 4:
                (damage,) = journal.damage
                assert damage.kept is not None
                assert damage.kept.read_bytes() == bytes(flipped[damage.start : damage.end])
                assert damage.start == begin + (broken - 1) * size
            assert journal.append(b"new", b"") >= 5
        with Journal(folder) as journal:
            assert _headers(journal) == [*good, b"new"]
        shutil.rmtree(folder)


def test_a_last_record_that_was_whole_and_is_damaged_is_kept_aside(tmp_path):
    (segment,) = _filled(tmp_path)
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    with Journal(tmp_path) as journal:
        (damage,) = journal.damage
        assert damage.kept is not None
        assert damage.kept.read_bytes().endswith(_BODY[:-1] + bytes([_BODY[-1] ^ 1]))
        assert journal.last() >= 4  # so that its number is not given again


@pytest.mark.parametrize("position", [0, 9, 13, 20, 30, 40, 43])
def test_a_damaged_preamble_costs_no_record(tmp_path, position):
    (segment,) = _filled(tmp_path)
    data = bytearray(segment.read_bytes())
    data[position] ^= 0x20
    segment.write_bytes(data)
    with Journal(tmp_path) as journal:
        assert _headers(journal) == [b"h1", b"h2", b"h3", b"h4"]
        assert [damage.start for damage in journal.damage] == [0]


def test_a_damaged_length_does_not_hide_the_records_behind_it(tmp_path):
    (segment,) = _filled(tmp_path)
    data = bytearray(segment.read_bytes())
    start = data.index(b"h2") - 24
    data[start + 4 : start + 8] = (1 << 29).to_bytes(4, "little")
    segment.write_bytes(data)
    with Journal(tmp_path) as journal:
        assert _headers(journal) == [b"h1", b"h3", b"h4"]


def test_an_older_segment_that_was_cut_short_is_damage(tmp_path):
    first, second, _ = _filled(tmp_path, count=3, segment_bytes=50)
    first.write_bytes(first.read_bytes()[:-5])
    with Journal(tmp_path) as journal:
        assert _headers(journal) == [b"h2", b"h3"]
        assert [damage.segment for damage in journal.damage] == [first.name]
        assert journal.cut_bytes == 0
    assert second.exists()


def test_a_newest_segment_of_garbage_is_set_aside_whole(tmp_path):
    *_, newest = _filled(tmp_path, count=3, segment_bytes=50)
    newest.write_bytes(b"garbage" * 100)
    with Journal(tmp_path) as journal:
        assert _headers(journal) == [b"h1", b"h2"]
        (damage,) = journal.damage
        assert damage.kept is not None
        assert damage.kept.read_bytes() == b"garbage" * 100
        assert journal.append(b"new", b"") >= 4
        assert _headers(journal) == [b"h1", b"h2", b"new"]


def test_a_lost_segment_in_the_middle_is_passed_over(tmp_path):
    _, second, _ = _filled(tmp_path, count=3, segment_bytes=50)
    second.unlink()
    with Journal(tmp_path) as journal:
        assert _headers(journal) == [b"h1", b"h3"]


def test_the_identity_is_found_in_the_segments_when_its_file_is_lost(tmp_path):
    _filled(tmp_path)
    before = (tmp_path / "identity").read_text()
    (tmp_path / "identity").write_text("")
    with Journal(tmp_path) as journal:
        assert journal.identity == before.strip()
    assert (tmp_path / "identity").read_text() == before


def test_a_segment_half_made_at_a_crash_is_passed_over(tmp_path):
    _filled(tmp_path)
    (tmp_path / "next").write_bytes(b"DEODARJ\nhalf a preamble")
    with Journal(tmp_path, segment_bytes=10) as journal:
        assert journal.append(b"h5", b"") == 5
        assert len(_headers(journal)) == 5


def test_bytes_that_change_under_an_open_journal_are_skipped_and_listed(tmp_path):
    with Journal(tmp_path) as journal:
        for n in range(1, 4):
            journal.append(b"h%d" % n, _BODY)
        (segment,) = tmp_path.glob("*.segment")
        data = bytearray(segment.read_bytes())
        data[data.index(b"h2") + 5] ^= 1
        segment.write_bytes(data)
        assert _headers(journal) == [b"h1", b"h3"]
        assert _headers(journal) == [b"h1", b"h3"]
        assert len(journal.damage) == 1


@settings(max_examples=60, deadline=None)
@given(
    segment_bytes=st.sampled_from([60, 300, 10_000]),
    blows=st.lists(
        st.tuples(
            st.floats(0, 1),  # which segment
            st.floats(0, 1),  # where in it
            st.sampled_from(["flip", "cut", "insert", "zero", "repeat"]),
            st.binary(min_size=1, max_size=40),
        ),
        max_size=4,
    ),
    marks=st.none() | st.binary(max_size=1024),
)
def test_whatever_happens_to_the_files_the_journal_goes_on(
    tmp_path_factory, segment_bytes, blows, marks
):
    folder = tmp_path_factory.mktemp("damaged")
    with Journal(folder, segment_bytes=segment_bytes, sync=False) as journal:
        for n in range(1, 9):
            journal.append(b"h%d" % n, _BODY)
    files = sorted(folder.glob("*.segment"))
    for share, place, blow, noise in blows:
        path = files[min(int(share * len(files)), len(files) - 1)]
        path.write_bytes(_struck(path.read_bytes(), place, blow, noise))
    if marks is not None:
        (folder / "acknowledged").write_bytes(marks)
    with Journal(folder, sync=False) as journal:
        records = list(journal.read())
        assert all(r.header == b"h%d" % r.number and r.body == _BODY for r in records)
        numbers = [record.number for record in records]
        assert numbers == sorted(set(numbers))
        if not blows:
            assert len(numbers) == 8 - journal.acknowledged
        assert journal.last() >= max([0, *numbers])
        new = journal.append(b"new", b"body")
        assert new > max([0, *numbers])
    with Journal(folder, sync=False) as journal:
        assert [r.number for r in journal.read()] == [*numbers, new]
        assert journal.last_header == b"new"
        journal.acknowledge(new)
        assert len(journal) == 0


def _struck(data: bytes, place: float, blow: str, noise: bytes) -> bytes:
    at = int(place * len(data))
    head, tail = data[:at], data[at:]
    return {
        "flip": head + bytes(a ^ b for a, b in zip(tail, noise, strict=False)) + tail[len(noise) :],
        "cut": head,
        "insert": head + noise + tail,
        "zero": head + bytes(min(len(noise), len(tail))) + tail[len(noise) :],
        "repeat": head + data[: len(noise) * 5] + tail,
    }[blow]
