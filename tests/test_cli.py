from __future__ import annotations

import subprocess
import sys

import pytest

from deodar import __version__, cli
from deodar.kit.errors import StateError


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_help_names_every_program(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("agent", "edr", "siem", "demo"))


def test_an_unknown_program_is_wrong_usage():
    with pytest.raises(SystemExit) as exit_:
        cli.main(["nonsense"])
    assert exit_.value.code == 2


@pytest.mark.parametrize(("program", "code"), [("agent", 1), ("edr", 2)])
@pytest.mark.parametrize("words", [["nonsense"], ["status", "--nonsense"], ["status", "nonsense"]])
def test_wrong_usage_of_the_agent_has_the_code_of_kesl(program, code, words):
    with pytest.raises(SystemExit) as exit_:
        cli.main([program, *words])
    assert exit_.value.code == code


@pytest.mark.parametrize("program", sorted(cli.PROGRAMS))
def test_each_program_has_its_help(program, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([program, "--help"])
    assert exit_.value.code == 0
    assert "Usage: deodar" in capsys.readouterr().out


def test_an_error_is_one_line_with_its_exit_code(monkeypatch, capsys):
    def fail(_words):
        raise StateError("there is no folder /x; make it with: deodar edr init --dir /x")

    monkeypatch.setattr(cli, "build", fail)
    with pytest.raises(SystemExit) as exit_:
        cli.main(["edr", "run"])
    assert exit_.value.code == 3
    assert capsys.readouterr().err == (
        "deodar: there is no folder /x; make it with: deodar edr init --dir /x\n"
    )


def test_a_missing_package_names_the_extra_that_brings_it():
    code = (
        "import sys\n"
        "sys.modules['httpx'] = None\n"
        "from deodar.cli import Program, _load\n"
        "from deodar.kit.errors import DeodarError\n"
        "import importlib\n"
        "try: _load(Program('httpx', 'agent', ''))\n"
        "except DeodarError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'deodar[agent]'" in ran.stdout


def test_the_agent_starts_without_the_servers_packages():
    code = (
        "import sys\n"
        "from deodar import cli\n"
        "cli.build(['agent'])\n"
        "heavy = {'pyarrow', 'chdb', 'starlette', 'sqlalchemy', 'uvicorn', 'lark'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "[]"
