from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.sightings import SAVE_EVERY, Sightings

if TYPE_CHECKING:
    from pathlib import Path

DNS = {"EventType": "dns", "Timestamp": 5}


def test_the_last_time_of_each_kind_is_kept_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "sightings.json"
    first = Sightings(path)
    first.note(DNS)
    first.note({**DNS, "Timestamp": 7})
    first.note({"EventType": "filechange", "FileOperationType": 5, "Timestamp": 6})
    assert first.last() == {12: 7, 5: 6}
    first.save(now=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Sightings(path).last() == {12: 7, 5: 6}


def test_the_file_is_written_now_and_then_and_only_for_something_new(tmp_path: Path) -> None:
    path, now = tmp_path / "sightings.json", [0.0]
    book = Sightings(path, clock=lambda: now[0])
    book.note(DNS)
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
    lost.note(DNS)
    lost.save(now=True)
    assert lost.last() == {12: 5}
