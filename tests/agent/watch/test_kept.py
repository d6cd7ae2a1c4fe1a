from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.watch.kept import KEY_FILE, Keeper
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = {"a": 1}
KINDS = dict[str, int]


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "state")


def test_what_was_saved_is_there_next_time(directory: StateDirectory) -> None:
    assert Keeper(directory).load("x", KINDS) is None
    Keeper(directory).save("x", ITEMS)
    assert Keeper(directory).load("x", KINDS) == ITEMS
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in directory.path.iterdir())


def test_a_digest_stays_the_same_and_depends_on_the_key(
    directory: StateDirectory, tmp_path: Path
) -> None:
    digest = Keeper(directory).digest(b"secret")
    assert digest == Keeper(directory).digest(b"secret") != Keeper(directory).digest(b"other")
    assert digest != Keeper(StateDirectory.create(tmp_path / "other")).digest(b"secret")
    assert Keeper(directory).digest(b"") == ""


@pytest.mark.parametrize("content", [b"", b"{", b'{"key":"","items":{}}', b'{"key":1}'])
def test_what_is_damaged_is_not_used(directory: StateDirectory, content: bytes) -> None:
    keeper = Keeper(directory)
    directory.write("watch-x.json", content)
    assert keeper.load("x", KINDS) is None
    assert keeper.problems[0].startswith("watch-x.json cannot be used (")


def test_digests_of_another_key_are_not_compared(directory: StateDirectory) -> None:
    Keeper(directory).save("x", ITEMS)
    directory.write_secret(KEY_FILE, b"cut")
    assert Keeper(directory).load("x", KINDS) is None


def test_a_folder_that_takes_no_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot write"):
        Keeper(StateDirectory(tmp_path / "absent"))
