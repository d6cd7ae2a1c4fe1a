from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.gather.running_services import hierarchy, running, unified

if TYPE_CHECKING:
    from pathlib import Path

MOUNTINFO = """\
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
"""


def test_the_unified_hierarchy_is_found_beside_others(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO)
    assert str(unified(mounts)) == "/sys/fs/cgroup/unified"
    mounts.write_text(MOUNTINFO.replace("cgroup2", "cgroup"))
    assert unified(mounts) is None
    assert unified(tmp_path / "absent") is None


def test_without_it_systemd_s_own_of_version_1_is_found(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO)
    assert str(hierarchy(mounts)) == "/sys/fs/cgroup/unified"
    line = "33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    mounts.write_text(MOUNTINFO.replace("cgroup2", "none") + line)
    assert str(hierarchy(mounts)) == "/sys/fs/cgroup/systemd"


def test_services_with_a_process_run(tmp_path: Path) -> None:
    groups = {
        "system.slice/a.service": 1,
        "system.slice/b.service": 0,
        "user.slice/c.slice": 1,
        "user.slice/u@1.service/app.slice/d.service": 1,
        "user.slice/u@1.service": 1,
    }
    for group, populated in groups.items():
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / group / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    assert running(tmp_path) == [
        "/system.slice/a.service",
        "/user.slice/u@1.service",
        "/user.slice/u@1.service/app.slice/d.service",
    ]


def test_of_a_hierarchy_that_is_not_there_nothing_runs(tmp_path: Path) -> None:
    assert running(tmp_path / "absent") == []


@pytest.mark.skipif(unified() is None, reason="no unified hierarchy of control groups here")
def test_the_real_hierarchy_can_be_read() -> None:
    assert all(group.endswith(".service") for group in running())
