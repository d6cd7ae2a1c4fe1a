"""What holds for every shelf; the one in a database is in tests/edr/nodes."""

from __future__ import annotations

import pytest

from deodar.edr.tasking.shelf import FolderShelf, Shelf


class ShelfContract:
    @pytest.fixture
    def shelf(self) -> Shelf:
        raise NotImplementedError

    def test_parts_make_a_whole(self, shelf):
        assert shelf.size("a") is None
        shelf.put("a", 0, b"one ")
        shelf.put("a", 4, b"two")
        assert shelf.size("a") == 7
        assert b"".join(shelf.blocks("a")) == b"one two"

    def test_a_first_part_takes_the_place_of_all_there_was(self, shelf):
        shelf.put("a", 0, b"one two")
        shelf.put("a", 7, b" three")
        shelf.put("a", 0, b"x")
        assert (shelf.size("a"), b"".join(shelf.blocks("a"))) == (1, b"x")

    def test_a_name_is_changed_over_another_one(self, shelf):
        shelf.put("a", 0, b"new")
        shelf.put("b", 0, b"much older")
        shelf.rename("a", "b")
        assert [(one.name, one.size) for one in shelf.list()] == [("b", 3)]
        assert b"".join(shelf.blocks("b")) == b"new"

    def test_an_empty_file_is_one(self, shelf):
        shelf.put("a", 0, b"")
        assert (shelf.size("a"), b"".join(shelf.blocks("a"))) == (0, b"")

    def test_what_is_removed_is_gone(self, shelf):
        shelf.put("a", 0, b"x")
        assert 0 <= shelf.list()[0].age < 60
        shelf.remove("a")
        shelf.remove("a")
        assert (shelf.size("a"), shelf.list()) == (None, [])


class TestFolder(ShelfContract):
    @pytest.fixture
    def shelf(self, tmp_path) -> Shelf:
        return FolderShelf(tmp_path / "files")

    def test_only_the_owner_may_read(self, shelf, tmp_path):
        shelf.put("a", 0, b"x")
        assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "files/a").stat().st_mode & 0o777 == 0o600
