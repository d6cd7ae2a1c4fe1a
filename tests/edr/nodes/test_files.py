from __future__ import annotations

import pytest
from tests.edr.tasking.test_shelf import ShelfContract

from deodar.edr.errors import ControlDataError
from deodar.edr.nodes.files import DatabaseShelf
from deodar.edr.tasking.shelf import Shelf


class TestDatabase(ShelfContract):
    @pytest.fixture
    def shelf(self, database) -> Shelf:
        return DatabaseShelf(database)

    def test_a_part_that_is_there_is_not_written_again(self, shelf):
        shelf.put("a", 0, b"x" * 10)
        shelf.put("a", 10, b"y")
        with pytest.raises(ControlDataError):
            shelf.put("a", 10, b"y")
        assert shelf.size("a") == 11


def test_any_bytes_come_out_as_they_went_in(database):
    data = bytes(range(256)) * 4096
    shelf = DatabaseShelf(database)
    shelf.put("a", 0, data)
    assert b"".join(shelf.blocks("a")) == data
