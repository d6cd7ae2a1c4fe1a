from __future__ import annotations

import pytest

from deodar.edr.errors import ControlDataError
from deodar.edr.tables_nodes import log_position


def test_there_is_one_position(database):
    row = log_position.insert().values(number=1, term=1, seq=1)
    with database.write() as connection:
        connection.execute(row)
    with pytest.raises(ControlDataError), database.write() as connection:
        connection.execute(row)
