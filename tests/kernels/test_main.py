"""The runner's command line and what it keeps."""

from __future__ import annotations

import msgspec
import pytest
from tests.kernels.__main__ import keep, main
from tests.kernels.results import Kept, Run

OLD, NEW = Run("2026-01-02", "old", passed=1), Run("2026-02-03", "new", passed=2)


def test_a_run_replaces_its_kernels_and_leaves_the_others(tmp_path):
    file = tmp_path / "seen.json"
    keep(file, {"trixie": OLD, "bookworm": OLD})
    keep(file, {"bookworm": NEW})
    kept = msgspec.json.decode(file.read_bytes(), type=Kept)
    assert list(kept.items()) == [("bookworm", NEW), ("trixie", OLD)]  # in the plan's order
    assert list(tmp_path.iterdir()) == [file]


def test_unknown_kernel_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["woody"])
    said = capsys.readouterr().err
    assert "there is no kernel woody" in said
    assert "bookworm, " in said
