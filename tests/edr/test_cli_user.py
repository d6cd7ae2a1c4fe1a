from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from deodar.edr.audit import Trail, Wanted
from deodar.edr.cli import app
from deodar.edr.errors import NotKnown
from deodar.edr.settings import Sessions as Limits
from deodar.edr.users.errors import LockedOut, LoginRefused, NotPossible, WeakPassword
from deodar.edr.users.login import Login
from deodar.edr.users.roles import Role
from deodar.edr.users.sessions import Sessions

PASSWORD = "long enough for anybody"


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


@pytest.fixture
def opened(installation):
    with contextlib.closing(installation.database()) as made:
        yield made


def run(*words: str, stdin: str | None = None) -> str:
    done = CliRunner().invoke(app, ["user", *words], input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def add(folder: str, name: str = "root", role: str = "administrator") -> str:
    words = ("add", name, "--role", role, "--password-stdin", "--dir", folder)
    return run(*words, stdin=f"{PASSWORD}\n")


def log_in(opened, name: str, password: str = PASSWORD):
    return Login(opened, Limits()).log_in(name, password, "192.0.2.1", "a browser")


def test_the_first_administrator_is_made_on_the_host(folder, opened):
    assert "begin with: deodar edr user add" in run("list", "--dir", folder)
    assert "root" in add(folder)
    assert log_in(opened, "root").identity.role is Role.ADMINISTRATOR
    (row,) = map(json.loads, run("list", "--json", "--dir", folder).splitlines())
    assert (row["name"], row["role"]) == ("root", "administrator")
    (entry,) = Trail(opened).list(Wanted(action="user add"))
    assert (entry.user, entry.address) == (f"uid {os.getuid()}", "local")


def test_a_password_is_made_up_and_shown_once(folder, opened):
    words = ("add", "root", "--role", "administrator", "--generate", "--json", "--dir", folder)
    made = json.loads(run(*words))
    log_in(opened, "root", made["password"])
    told = run("password", "root", "--generate", "--dir", folder)
    log_in(opened, "root", told.rsplit(maxsplit=1)[-1])


def test_a_user_is_changed_and_removed(folder, opened):
    add(folder)
    add(folder, "operator", "auditor")
    assert "security_officer" in run("role", "operator", "security_officer", "--dir", folder)
    run("disable", "operator", "--dir", folder)
    with pytest.raises(LoginRefused):
        log_in(opened, "operator")
    run("enable", "operator", "--dir", folder)
    log_in(opened, "operator")
    run("password", "operator", "--password-stdin", "--dir", folder, stdin=PASSWORD + "2\n")
    log_in(opened, "operator", PASSWORD + "2")
    run("remove", "operator", "--dir", folder)
    assert "operator" not in run("list", "--dir", folder)


def test_sessions_are_shown_and_ended(folder, opened):
    add(folder)
    made = log_in(opened, "root")
    assert "192.0.2.1" in run("sessions", "root", "--dir", folder)
    (row,) = map(json.loads, run("sessions", "root", "--json", "--dir", folder).splitlines())
    assert row["client"] == "a browser"
    assert run("log-out", "root", "--dir", folder) == "1 sessions of root ended\n"
    assert json.loads(run("log-out", "root", "--json", "--dir", folder))["ended"] == 0
    assert Sessions(opened, Limits()).identify(made.secret) is None


def test_a_locked_user_is_unlocked(folder, opened):
    add(folder)
    for _ in range(5):
        with pytest.raises(LoginRefused):
            log_in(opened, "root", "wrong")
    with pytest.raises(LockedOut):
        log_in(opened, "root")
    run("unlock", "root", "--dir", folder)
    log_in(opened, "root")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("remove", "root"), NotPossible),
        (("disable", "root"), NotPossible),
        (("role", "root", "auditor"), NotPossible),
        (("sessions", "nosuch"), NotKnown),
        (("password", "nosuch", "--generate"), NotKnown),
    ],
)
def test_what_cannot_be_done_is_told(folder, words, error):
    add(folder)
    with pytest.raises(error):
        run(*words, "--dir", folder)


def test_a_weak_password_is_refused(folder):
    with pytest.raises(WeakPassword):
        run(*("add", "x", "--role", "auditor", "--password-stdin", "--dir", folder), stdin="x\n")


def deodar(folder: str, *words: str, **options) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "deodar", "edr", "user", *words, "--dir", folder]
    return subprocess.run(command, capture_output=True, timeout=60, **options)


def test_without_a_terminal_nothing_is_asked_and_usage_is_2(folder):
    done = deodar(folder, "add", "root", "--role", "administrator", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"--password-stdin" in done.stderr
    assert deodar(folder, "add", "root", "--role", "king").returncode == 2


def test_at_a_terminal_the_password_is_asked_for_twice(folder, opened):
    master, slave = pty.openpty()
    own_terminal = ["setsid", "--ctty", "--wait"]
    command = [
        *own_terminal,
        sys.executable,
        "-m",
        "deodar",
        "edr",
        "user",
        "add",
        "root",
        "--role",
    ]
    process = subprocess.Popen(
        [*command, "administrator", "--dir", folder],
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    for prompt in (b"Password: ", b"Again: "):
        answered(master, prompt)
        os.write(master, f"{PASSWORD}\n".encode())
    assert process.wait(30) == 0
    os.close(master)
    log_in(opened, "root")


def answered(master: int, prompt: bytes) -> None:
    """Wait for a prompt of the terminal."""
    seen, deadline = b"", time.monotonic() + 30
    while prompt not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(master, 1024)
