"""What the tests of hashing share: open files, a hash process, a file system that hangs."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a file system in user space; see `fuse`."""
    folder = tmp_path / "hanging"
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("fuse.py")), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == b"mounted\n"
        yield folder
        server.stdin.close()
        server.wait(20)
