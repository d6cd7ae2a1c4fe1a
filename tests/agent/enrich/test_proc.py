from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enrich import proc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_this_process_is_described() -> None:
    found = proc.live_process(os.getpid())
    assert found is not None
    assert found.key.pid == os.getpid()
    assert found.key.start > 0
    assert found.parent.pid == os.getppid()
    assert found.exe == os.fsencode(os.path.realpath(sys.executable))
    assert found.uid == os.getuid()
    assert found.euid == os.geteuid()
    assert found.cwd == os.fsencode(Path.cwd())


def test_every_process_includes_this_one_and_the_first() -> None:
    found = {process.key.pid: process for process in proc.every_process()}
    assert os.getpid() in found
    assert 1 in found


def test_process_that_is_gone_is_none() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert proc.live_process(child.pid) is None
    assert proc.read_stat(Path("/proc") / str(child.pid)) is None
    assert proc.container_id(child.pid) is None


def test_arguments_keep_empty_ones_and_bytes(until: Callable[..., Any]) -> None:
    odd = (os.fsencode(sys.executable), b"-c", b"import time; time.sleep(30)", b"", b"\xff")
    with subprocess.Popen(odd) as child:
        try:
            argv = until(lambda: getattr(proc.live_process(child.pid), "argv", None))
        finally:
            child.kill()
    assert argv == odd


def test_stat_with_odd_command_names_is_read(tmp_path: Path) -> None:
    fields = ["S", "42", "7", "7", "34817", *["0"] * 14, "123", *["0"] * 30]
    (tmp_path / "stat").write_bytes(b"9 (a) R (b) " + " ".join(fields).encode())
    stat = proc.read_stat(tmp_path)
    assert stat is not None
    assert (stat.comm, stat.parent_pid, stat.start) == (b"a) R (b", 42, 1_230_000_000)
    assert proc.terminal_name(stat.terminal) == "pts/1"


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (0, ""),
        (os.makedev(136, 5), "pts/5"),
        (os.makedev(137, 1), "pts/257"),
        (os.makedev(4, 1), "tty1"),
        (os.makedev(4, 64), "ttyS0"),
    ],
)
def test_terminals_are_named_as_in_dev(device: int, name: str) -> None:
    assert proc.terminal_name(device) == name


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("0::/system.slice/docker-{}.scope", True),
        ("5:memory:/docker/{}", True),
        ("0::/kubepods/besteffort/pod1/{}", True),
        ("0::/../cri-containerd:{}", True),
        ("0::/machine.slice/libpod-{}.scope/container", True),
        ("0::/user.slice/user-0.slice/session-1.scope", False),
        ("0::/x/a{}", False),
    ],
)
def test_container_is_told_from_the_control_group(line: str, found: bool, tmp_path: Path) -> None:
    identity = "0123456789abcdef" * 4
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(line.format(identity) + "\n")
    assert proc.container_id(7, tmp_path) == (identity if found else "")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("0::/machine.slice/machine-web.scope/payload/init.scope", "web"),
        (r"0::/machine.slice/machine-web\x2dtest.scope/payload", "web-test"),
        ("0::/system.slice/systemd-nspawn@web.service/payload", "web"),
        ("1:name=systemd:/machine.slice/machine-web.scope", "web"),
        ("0::/machine.slice", ""),
        ("0::/user.slice/machine-web.scope.d", ""),
    ],
)
def test_a_machine_of_systemd_is_a_container_too(line: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(line + "\n")
    assert proc.container_id(7, tmp_path) == name


@pytest.mark.parametrize(
    ("line", "number"), [("NSpid:\t4711\t12", 12), ("NSpid:\t4711", 0), ("Pid:\t4711", 0)]
)
def test_the_number_in_the_container_is_the_innermost(
    line: str, number: int, tmp_path: Path
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text(f"Name:\tx\n{line}\n")
    assert proc.inner_pid(7, tmp_path) == number
    assert proc.inner_pid(8, tmp_path) == 0


@pytest.mark.root
def test_the_number_in_a_pid_namespace_of_this_kernel(until) -> None:
    words = ["unshare", "--pid", "--fork", "--kill-child", "sleep", "600"]
    outer = subprocess.Popen(words)
    try:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        (inner,) = until(lambda: children.read_text().split())
        assert proc.inner_pid(int(inner)) == 1
        assert proc.inner_pid(outer.pid) == 0
    finally:
        outer.kill()
        outer.wait()


@pytest.fixture
def docker_group() -> Iterator[tuple[Path, str]]:
    """A control group of this kernel that is named as Docker names one, and the container's id."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    if not roots:
        pytest.skip("no cgroup2 hierarchy is mounted here")
    identity = uuid.uuid4().hex * 2
    group = roots[0] / f"docker-{identity}.scope"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group, identity
    group.rmdir()


@pytest.mark.root
def test_a_process_of_this_kernel_is_found_in_its_container(
    docker_group: tuple[Path, str], until: Callable[..., Any]
) -> None:
    group, identity = docker_group
    child = subprocess.Popen(["sleep", "600"])
    try:
        assert proc.container_id(child.pid) == ""
        (group / "cgroup.procs").write_text(str(child.pid))
        assert proc.container_id(child.pid) == identity
    finally:
        child.kill()
        child.wait()
    until(lambda: not (group / "cgroup.procs").read_text())
