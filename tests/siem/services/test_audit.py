from __future__ import annotations

from deodar.siem.services.audit import latest
from deodar.siem.services.database import record


def test_the_newest_come_first_and_the_list_is_read_in_parts(known):
    with known.database.write() as connection:
        for number in range(5):
            record(connection, "a", str(number))
    first = latest(known.database, 2)
    assert [row.subject for row in first] == ["4", "3"]
    assert [row.subject for row in latest(known.database, 9, first[-1].number)] == ["2", "1", "0"]
