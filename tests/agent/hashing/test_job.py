from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deodar.agent.hashing.facts import Rest
from deodar.agent.hashing.job import Job
from deodar.agent.hashing.opener import open_first

if TYPE_CHECKING:
    from pathlib import Path


def test_job_gives_itself_back_once_with_its_file_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    opened = open_first(None, [str(path)])
    assert opened is not None
    back: list[Job] = []
    job = Job(None, [str(path)], back.append)
    assert job.facts is None
    job.take(opened)
    assert job.identity == opened.identity
    assert job.facts == replace(opened.facts, rest=Rest.COMING)
    job.end(opened.facts, keep=True)
    assert back == [job]
    assert job.is_kept
    assert job.facts == opened.facts
    assert job.digested.is_set()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened.descriptor)
