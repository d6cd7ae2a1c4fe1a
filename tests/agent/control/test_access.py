from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.agent.control.access import Access, groups_of
from deodar.agent.control.errors import ControlError
from deodar.agent.control.server import ControlServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.agent.control.conftest import Commands

NOBODY = 65534
GROUP = "daemon"
"""A group that every Debian has, and in which nobody is."""

CLIENT = """
import os, sys
from pathlib import Path
from deodar.agent.control.client import ControlClient
path, uid, gid, groups = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.setgroups([int(g) for g in groups.split(",") if g])
os.setgid(gid)
os.setuid(uid)
try:
    print(ControlClient(path).call("echo", who=os.getuid()))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def open_path() -> Iterator[Path]:
    """The socket's path, in a folder of /tmp: pytest's own folders are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="deodar-"))
    yield folder / "control.sock"
    shutil.rmtree(folder)


def as_user(path: Path, uid: int, gid: int, groups: str = "") -> str:
    command = [sys.executable, "-c", CLIENT, str(path), str(uid), str(gid), groups]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root
def test_another_user_is_let_in_by_neither_the_mode_nor_the_credentials(
    open_path: Path, commands: Commands, request: pytest.FixtureRequest
) -> None:
    server = ControlServer(open_path, commands.handlers())
    server.start()
    request.addfinalizer(server.stop)
    assert "no access to" in as_user(open_path, NOBODY, NOBODY)
    open_path.parent.chmod(0o755)
    open_path.chmod(0o666)  # even so
    assert as_user(open_path, NOBODY, NOBODY) == (
        f"ControlRefused user {NOBODY} may not control the agent; be root"
    )
    assert as_user(open_path, 0, 0) == "{'who': 0}"


@pytest.mark.root
def test_members_of_the_group_are_let_in(
    open_path: Path, commands: Commands, request: pytest.FixtureRequest
) -> None:
    server = ControlServer(open_path, commands.handlers(), GROUP)
    server.start()
    request.addfinalizer(server.stop)
    gid = grp.getgrnam(GROUP).gr_gid
    folder, file = open_path.parent.stat(), open_path.stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid, folder.st_gid) == (0o710, 0, gid)
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid) == (0o660, 0, gid)
    assert as_user(open_path, NOBODY, gid) == f"{{'who': {NOBODY}}}"
    assert as_user(open_path, NOBODY, NOBODY, str(gid)) == f"{{'who': {NOBODY}}}"
    assert "no access to" in as_user(open_path, NOBODY, NOBODY)
    open_path.parent.chmod(0o755)
    open_path.chmod(0o666)
    assert f"be root or a member of the group {GROUP}" in as_user(open_path, NOBODY, NOBODY)


@pytest.mark.root
def test_without_a_group_the_folder_is_closed_again(path: Path, commands: Commands) -> None:
    path.parent.chmod(0o710)
    server = ControlServer(path, commands.handlers())
    server.start()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.stop()


def test_a_folder_that_was_opened_by_somebody_else_stays_so(path: Path) -> None:
    path.parent.chmod(0o755)
    path.touch()
    Access().open_to_group(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_a_group_that_is_not_there_is_named(path: Path, commands: Commands) -> None:
    server = ControlServer(path, commands.handlers(), "no-such-group")
    with pytest.raises(ControlError, match="there is no group no-such-group; make it with"):
        server.start()
    assert not path.exists()
    server.stop()


def test_a_socket_that_cannot_be_given_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=f"the group {GROUP} cannot be given the socket"):
        Access(GROUP).open_to_group(tmp_path / "absent" / "control.sock")


def test_groups_are_those_of_the_process_or_of_its_account(
    connected: Callable[[], socket.socket], server: ControlServer
) -> None:
    own = pwd.getpwuid(os.getuid())
    assert groups_of(connected(), own.pw_uid, own.pw_gid) == os.getgroups()
    with socket.socket(socket.AF_INET) as other:  # tells nothing about its other end
        expected = os.getgrouplist(own.pw_name, own.pw_gid)
        assert groups_of(other, own.pw_uid, own.pw_gid) == expected
        assert groups_of(other, 4_000_000_000, 0) == []
