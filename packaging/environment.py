"""The virtual environment in the package: interpreter link, libraries, the agent, bytecode."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path("usr/lib/deodar-agent")
PYTHON = Path("/usr/bin/python3.11")
"""Debian 12's, which the bytecode is for and the libraries' machine code fits to."""
SITE = Path("lib/python3.11/site-packages")
LEFT_OUT = ("edr", "siem", "demo", "store", "columnar", "kedrql")
"""Packages below deodar that the agent does not use; their libraries are not there either."""
NOISE = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""What pip notes for itself; it differs from build to build."""


def make(home: Path, source: Path) -> None:
    """Make the environment at `home`, which ends with its later place on the endpoint.

    Raises subprocess.CalledProcessError when libraries cannot be had or do not fit their hashes.
    """
    site = home / SITE
    site.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(PYTHON)
    settings = "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n"
    (home / "pyvenv.cfg").write_text(settings, encoding="ascii")
    _install(home, source / "requirements-agent.lock")
    _copy_agent(source / "src" / "deodar", site / "deodar")
    _tidy(home, site)
    _compile(home)


def _install(home: Path, lock: Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python3")]
    command += ["--quiet", "--disable-pip-version-check", "install", "--require-hashes"]
    command += ["--no-deps", "--only-binary=:all:", "--no-compile", "-r", str(lock)]
    subprocess.run(command, check=True)


def _copy_agent(package: Path, target: Path) -> None:
    def ignore(folder: str, names: list[str]) -> set[str]:
        out = {"__pycache__"}
        return out | set(LEFT_OUT) if Path(folder) == package else out & set(names)

    shutil.copytree(package, target, ignore=ignore)


def _tidy(home: Path, site: Path) -> None:
    """Leave out commands of libraries, pip's notes, and what belongs to compilers and tests."""
    for script in (home / "bin").iterdir():
        if script.name != "python3":
            script.unlink()
    for folder in (home / "share", home / "include", home / "lib64"):
        shutil.rmtree(folder, ignore_errors=True)
    for info in site.glob("*.dist-info"):
        for name in NOISE:
            (info / name).unlink(missing_ok=True)
    for pattern in ("**/*.pyi", "**/*.c", "**/*.h", "**/*.pxd", "**/*.pyx"):
        for file in site.glob(pattern):
            file.unlink()


def _compile(home: Path) -> None:
    """Write bytecode that is not checked against times: the files change only with the package."""
    command = [str(PYTHON), "-I", "-m", "compileall", "-q", "-j0", "-o0"]
    command += ["--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(home)[: -len(str(HOME))].rstrip("/"), "-p", "/", str(home / "lib")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})
