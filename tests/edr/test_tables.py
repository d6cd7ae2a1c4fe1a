from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from deodar.edr.errors import ControlDataError
from deodar.edr.tables import external_systems, metadata


def test_times_are_microseconds_in_columns_that_say_so():
    for table in metadata.tables.values():
        for column in table.columns:
            if column.name.endswith("_us"):
                assert column.type.python_type is int


def test_an_address_and_certificate_can_be_there_once(database):
    row = {
        "id": "a",
        "ip": "1.2.3.4",
        "digest": "d",
        "state": "pending",
        "not_before_us": 0,
        "not_after_us": 1,
        "first_seen_us": 0,
        "last_seen_us": 0,
    }
    with database.write() as connection:
        connection.execute(external_systems.insert().values(**row))
    with pytest.raises(ControlDataError) as caught, database.write() as connection:
        connection.execute(external_systems.insert().values(**{**row, "id": "b"}))
    assert isinstance(caught.value.__cause__, IntegrityError)
