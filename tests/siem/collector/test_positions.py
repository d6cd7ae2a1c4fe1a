from __future__ import annotations

import pytest

from deodar.kit.journal import Journal
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.positions import Positions


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        for _ in range(10):
            journal.append(b"{}", b"body")
        yield journal


def opened(tmp_path, journal, *names):
    return Positions(tmp_path / "journal", Desk(journal, "s", print), names)


async def test_the_journal_gives_back_what_all_are_done_with(tmp_path, journal):
    positions = opened(tmp_path, journal, "storage", "file")
    await positions.advance("storage", 7)
    assert journal.acknowledged == 0
    await positions.advance("file", 3)
    assert journal.acknowledged == 3
    await positions.advance("file", 9)
    assert journal.acknowledged == 7
    positions.close()


async def test_each_goes_on_from_its_own_place_after_a_restart(tmp_path, journal):
    positions = opened(tmp_path, journal, "storage", "file")
    await positions.advance("storage", 7)
    await positions.advance("file", 3)
    positions.close()
    again = opened(tmp_path, journal, "storage", "file")
    assert (again.of("storage"), again.of("file")) == (7, 3)
    again.close()


async def test_a_place_never_goes_back(tmp_path, journal):
    positions = opened(tmp_path, journal, "storage")
    await positions.advance("storage", 7)
    await positions.advance("storage", 2)
    assert positions.of("storage") == 7
    positions.close()


async def test_a_new_or_returning_one_begins_with_what_the_journal_holds(tmp_path, journal):
    positions = opened(tmp_path, journal, "storage", "file")
    await positions.advance("file", 2)
    positions.close()
    alone = opened(tmp_path, journal, "storage")
    await alone.advance("storage", 5)
    alone.close()
    later = opened(tmp_path, journal, "storage", "file", "new")
    assert (later.of("file"), later.of("new")) == (5, 5)
    later.close()


def test_a_place_beyond_the_journals_end_is_brought_back_to_it(tmp_path, journal):
    from deodar.kit.journal.files import Marks

    (tmp_path / "journal" / "positions").mkdir()
    marks = Marks(tmp_path / "journal" / "positions" / "file")
    marks.write(1000)
    marks.close()
    positions = opened(tmp_path, journal, "file")
    assert positions.of("file") == 10
    positions.close()
