from __future__ import annotations

import pytest
from sqlalchemy import func, select

from deodar.kit.acting import Actor, acting
from deodar.siem.errors import ControlDataError
from deodar.siem.services import database
from deodar.siem.services.database import Database, record, sqlite_url
from deodar.siem.services.tables import audit


def test_what_is_recorded_names_who_did_it(known):
    with acting(Actor("anna", "192.0.2.1")), known.database.write() as connection:
        record(connection, "service created", "branch-1", "of the set branch")
        record(connection, "service paired", "branch-1", by=Actor("service branch-1", "192.0.2.7"))
    with known.database.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.number)).all()
    assert [(row.user, row.address, row.action) for row in rows] == [
        ("anna", "192.0.2.1", "service created"),
        ("service branch-1", "192.0.2.7", "service paired"),
    ]


def test_the_trail_is_bounded(known, monkeypatch):
    monkeypatch.setattr(database, "KEPT", 20)
    monkeypatch.setattr(database, "_DROP_EVERY", 10)
    with known.database.write() as connection:
        for number in range(100):
            record(connection, "a", str(number), "x" * 100_000)
    with known.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(audit)).scalar_one() <= 30
        assert connection.execute(select(func.max(func.length(audit.c.details)))).scalar() < 17_000


def test_a_database_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(ControlDataError, match="cannot open"):
        Database(sqlite_url(tmp_path / "absent" / "siem.db"))
