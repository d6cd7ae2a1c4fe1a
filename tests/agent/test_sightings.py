from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.enrich.fragments import Fragment
from deodar.agent.enrich.registry import Line, Told
from deodar.agent.sightings import EVERY_US, SAVE_EVERY, Sightings

if TYPE_CHECKING:
    from pathlib import Path

DNS = {"EventType": "dns", "Timestamp": 5}


def test_the_last_time_of_each_kind_is_kept_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "sightings.json"
    first = Sightings(path)
    first.note_event(DNS)
    first.note_event({**DNS, "Timestamp": 7})
    first.note_event({"EventType": "filechange", "FileOperationType": 5, "Timestamp": 6})
    assert first.last() == {12: 7, 5: 6}
    first.save(now=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Sightings(path).last() == {12: 7, 5: 6}


def test_the_file_is_written_now_and_then_and_only_for_something_new(tmp_path: Path) -> None:
    path, now = tmp_path / "sightings.json", [0.0]
    book = Sightings(path, clock=lambda: now[0])
    book.note_event(DNS)
    book.save()
    assert not path.exists()
    now[0] = SAVE_EVERY
    book.save()
    written = path.stat().st_mtime_ns
    now[0] = 3 * SAVE_EVERY
    book.save()
    assert path.stat().st_mtime_ns == written


def test_a_damaged_file_and_a_folder_that_is_gone_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "sightings.json"
    path.write_text("{")
    assert Sightings(path).last() == {}
    lost = Sightings(tmp_path / "gone" / "sightings.json")
    lost.note_event(DNS)
    lost.save(now=True)
    assert lost.last() == {12: 5}


def test_of_events_that_are_alike_one_a_second_is_looked_at() -> None:
    book = Sightings()
    ready = (Fragment(b"", frozenset({"Md5", "FileSize"})),)

    def line(second: int, **own: object) -> Line:
        return Line(b"", "filechange", second * EVERY_US // 2, Told(own, ready))

    book.note(line(10, FileOperationType=1))
    book.note(line(11, FileOperationType=1))
    assert book.last() == {3: 5_000_000, 29: 5_000_000, 34: 5_000_000}
    book.note(line(11, FileOperationType=5, DroppedSize=None))
    assert book.last()[5] == 5_500_000
    book.note(line(12, FileOperationType=1))
    assert book.last()[3] == 6_000_000
    book.note(line(2, FileOperationType=1))  # the clock was set back
    assert book.last()[3] == 1_000_000
