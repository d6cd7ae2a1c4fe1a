from __future__ import annotations

from typer.testing import CliRunner

from deodar.edr.cli import app


def test_the_folder_may_come_from_the_environment(installation):
    path = str(installation.directory.path)
    done = CliRunner().invoke(app, ["endpoints", "list"], env={"DEODAR_DIR": path})
    assert done.exit_code == 0
    missing = CliRunner().invoke(app, ["endpoints", "list"], env={"DEODAR_DIR": ""})
    assert missing.exit_code == 2
    assert "--dir" in missing.output
