from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.cli_options import opened, print_json
from deodar.kit.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="deodar agent enroll --dir"):
        opened(tmp_path / "missing")
    assert opened(tmp_path).path == tmp_path


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": "x\ny"})
    assert capsys.readouterr().out == '{"a":"x\\ny"}\n'
