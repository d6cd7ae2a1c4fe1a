"""Kind 9: scripts with their text; and what is typed at a terminal."""

from __future__ import annotations

import hashlib
import os
import pty
import subprocess
import time

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]


def test_scripts_are_told_with_their_text(watched, mark, kind, tmp_path):
    script = tmp_path / f"{mark}.sh"
    script.write_text(f"#!/bin/sh\n# {mark}\necho done >/dev/null\n")
    script.chmod(0o755)
    subprocess.run([script], check=True)
    given = tmp_path / f"{mark}-given"
    given.write_text(f"print('{mark} by an interpreter')\n")
    subprocess.run(["python3", given.name], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["sh", "-c", f"true; : {mark} code"], check=True)
    for file in (script, given):
        row = watched.row("process_interpretated_file_run", f"OldFileName = '{file.name}'")
        extra = dict(row["Extra"])
        assert extra["InterpretedFileContent"] == file.read_text()
        assert row["OldFilePath"] == str(tmp_path)
        assert int(row["OldFileSize"]) == file.stat().st_size
        assert row["DeviceCustomString6"] == hashlib.sha256(file.read_bytes()).hexdigest()
    code = f"Extra['InterpretedFileContent'] = 'true; : {mark} code'"
    row = watched.row("process_interpretated_file_run", code)
    assert row["DestinationProcessName"].endswith("sh")
    kind(9, "a script with #!, one given to python3, code after sh -c")


def test_reading_a_script_does_not_run_it(watched, mark, tmp_path):
    script = tmp_path / f"{mark}.sh"
    script.write_text("#!/bin/sh\n")
    subprocess.run(["cat", script], check=True, capture_output=True)
    assert watched.none("process_interpretated_file_run", f"OldFileName = '{script.name}'")


def test_what_is_piped_into_a_shell_and_typed_at_a_terminal(watched, mark):
    subprocess.run(["sh"], input=f": {mark} piped\n".encode(), check=True)
    child, terminal = pty.fork()
    if not child:
        os.execv("/bin/sh", ["/bin/sh", "-i"])
    os.write(terminal, f": {mark} typed\nexit\n".encode())
    deadline = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.close(terminal)
    for how, kind_of in (("piped", "pipe"), ("typed", "console")):
        row = watched.row("process_console_interactive_input",
                          f"DeviceCustomString4 LIKE '%{mark} {how}%'")  # fmt: skip
        assert row["DeviceCustomString5"] == kind_of
