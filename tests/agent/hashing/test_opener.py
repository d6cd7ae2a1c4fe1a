from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.agent.hashing.errors import OpenTimeout
from deodar.agent.hashing.facts import identity_of
from deodar.agent.hashing.opener import THREADS, Opener

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def opener() -> Iterator[Opener]:
    made = Opener()
    yield made
    made.close()


def test_file_is_opened_and_described(opener: Opener, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    wanted = identity_of(path.stat())._replace(dev=99)  # the kernel's own number for btrfs
    opened = opener.open(wanted, [str(tmp_path), str(path)], 20)
    assert opened is not None
    assert os.pread(opened.descriptor, 10, 0) == b"content"
    assert (opened.identity, opened.found) == (wanted, identity_of(path.stat()))
    assert opened.facts.size == 7
    os.close(opened.descriptor)


def test_no_path_leads_to_it(opener: Opener, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    other = identity_of(path.stat())._replace(size=8)
    assert opener.open(other, [str(path), "bad\0name"], 20) is None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_files_that_hang_cost_a_bounded_time_each(opener: Opener, hanging: Path) -> None:
    good = opener.open(None, [str(hanging / "good")], 20)
    assert good is not None
    os.close(good.descriptor)
    for number in range(THREADS + 2):
        began = time.monotonic()
        expected = "no answer within" if number < THREADS else "no other is tried"
        with pytest.raises(OpenTimeout, match=expected):
            opener.open(None, [str(hanging / "hang-open")], 0.05)
        assert time.monotonic() - began < 2
    with pytest.raises(OpenTimeout):
        opener.open(None, ["/bin/true"], 0.05)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_others_are_opened_while_one_hangs(opener: Opener, hanging: Path) -> None:
    with pytest.raises(OpenTimeout):
        opener.open(None, [str(hanging / "hang-open")], 0.05)
    for _ in range(3):
        opened = opener.open(None, ["/bin/true"], 20)
        assert opened is not None
        os.close(opened.descriptor)
