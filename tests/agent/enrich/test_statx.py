from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from deodar.agent.enrich.statx import birth_time_ns

if TYPE_CHECKING:
    from pathlib import Path


def test_new_file_was_born_just_now(tmp_path: Path) -> None:
    before = time.time_ns()
    with (tmp_path / "file").open("wb") as file:
        born = birth_time_ns(file.fileno())
    if born is None:
        pytest.skip("the file system keeps no time of birth")
    assert abs(born - before) < 5_000_000_000


def test_bad_descriptor_has_no_time() -> None:
    assert birth_time_ns(-1) is None
