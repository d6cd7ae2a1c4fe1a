from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.gather.rooted import open_as_seen, open_standard_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_PROCESS = 4_000_001


def content(descriptor: int | None) -> bytes | None:
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.fixture
def jailed(tmp_path: Path, until: Callable[..., Any]) -> Iterator[tuple[Path, int]]:
    """A folder, and a process whose root it is."""
    (tmp_path / "etc").mkdir()
    pid = os.fork()
    if pid == 0:
        os.chroot(tmp_path)
        signal.pause()
        os._exit(0)
    try:
        until(lambda: Path(f"/proc/{pid}/root").readlink() == tmp_path)
        yield tmp_path, pid
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.root
def test_a_path_is_taken_in_the_root_of_the_process(jailed: tuple[Path, int]) -> None:
    root, pid = jailed
    (root / "etc" / "hostname").write_bytes(b"inside")
    assert content(open_as_seen(b"/etc/hostname", [pid])) == b"inside"


@pytest.mark.root
def test_links_do_not_lead_out_of_it(jailed: tuple[Path, int]) -> None:
    root, pid = jailed
    (root / "etc" / "inside").write_bytes(b"inside")
    (root / "absolute").symlink_to("/etc/inside")
    (root / "upwards").symlink_to("../../../../etc/inside")
    (root / "outside").symlink_to("/etc/passwd")
    assert content(open_as_seen(b"/absolute", [pid])) == b"inside"
    assert content(open_as_seen(b"/upwards", [pid])) == b"inside"
    assert content(open_as_seen(b"/outside", [pid])) is None
    assert content(open_as_seen(b"/../../etc/passwd", [pid])) is None


def test_of_a_process_that_is_gone_its_parent_answers(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x")
    name = os.fsencode(file)
    assert content(open_as_seen(name, [NO_PROCESS, os.getpid()])) == b"x"
    assert content(open_as_seen(name, [NO_PROCESS])) == b"x"


def test_only_regular_files_are_opened_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("", "fifo", "absent", "\0"):
        for pids in ([os.getpid()], []):
            assert open_as_seen(os.fsencode(tmp_path) + b"/" + name.encode(), pids) is None
    assert open_as_seen(b"/dev/null", [os.getpid()]) is None


def test_magic_links_are_not_followed() -> None:
    assert open_as_seen(b"/proc/self/exe", [os.getpid()]) is None


def test_the_file_at_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"x")
    with file.open("rb") as stdin:
        process = subprocess.Popen(["sleep", "60"], stdin=stdin)
        assert content(open_standard_input(process.pid)) == b"x"
        process.kill()
        process.wait()
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert open_standard_input(process.pid) is None
    process.communicate()
    assert open_standard_input(NO_PROCESS) is None
