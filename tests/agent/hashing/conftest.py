"""What the tests of hashing share: open files, a hash process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.agent.hashing.opener import Opened, open_first
from deodar.agent.hashing.process import HashProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], Opened]]:
    """Return a maker of open files with some content."""
    made: list[Opened] = []

    def make(content: bytes) -> Opened:
        path = tmp_path / f"file-{len(made)}"
        path.write_bytes(content)
        found = open_first(None, [str(path)])
        assert found is not None
        made.append(found)
        return found

    yield make
    for one in made:
        os.close(one.descriptor)


@pytest.fixture
def spent() -> list[float]:
    """Return the list of what the hash process was said to have used."""
    return []


@pytest.fixture
def process(spent: list[float]) -> Iterator[HashProcess]:
    made = HashProcess(spent.append)
    yield made
    made.close()
