from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from deodar.agent.errors import UnusableFile
from deodar.agent.watch import files as module
from deodar.agent.watch.files import Files, plain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.watch.conftest import Host


def test_links_stay_within_the_root(host: Host, files: Files) -> None:
    (host.root / "etc/link").symlink_to("/etc/hostname-of-nobody")
    assert files.read("/etc/link") is None
    host.write("etc/hostname-of-nobody", "inner")
    assert files.read("/etc/link") == b"inner"
    (host.root / "etc/out").symlink_to("../../../../../../../../etc/hostname-of-nobody")
    assert files.read("/etc/out") == b"inner"
    assert files.target("/etc/link") == "/etc/hostname-of-nobody"
    assert files.target("/etc/passwd") is None


def test_the_root_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("y")
    whole = Files()
    assert whole.read(str(tmp_path / "x")) == b"y"
    status = (tmp_path / "x").stat()
    assert whole.identity(str(tmp_path / "x")) == (status.st_dev, status.st_ino)
    assert whole.identity(str(tmp_path / "z")) is None
    whole.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a device")
def test_what_is_no_regular_file_is_not_opened(host: Host, files: Files) -> None:
    os.mkfifo(host.root / "fifo")
    os.mknod(host.root / "device", 0o20600, os.makedev(10, 130))  # whose opening does something
    for path in ("/fifo", "/device", "/etc"):
        with pytest.raises(UnusableFile, match="no regular file"):
            files.read(path)


def test_large_files_and_folders_are_refused(
    host: Host, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnusableFile, match="/etc/passwd is larger than 5 bytes"):
        files.read("/etc/passwd", 5)
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    with pytest.raises(UnusableFile, match="more than 2 entries"):
        files.names("/etc")
    assert files.names("/absent") == []


def test_a_file_is_parsed_again_only_when_it_changed(host: Host, files: Files) -> None:
    parsed = []

    def parse(content: bytes) -> bytes:
        parsed.append(content)
        return content

    path = host.write("etc/x", "1")
    old = time.time_ns() + 2 * module.RACY_NS
    while time.time_ns() < old:
        pass
    assert [files.parsed("/etc/x", parse) for _ in range(3)] == [b"1"] * 3
    assert parsed == [b"1"]
    path.write_text("2")
    assert files.parsed("/etc/x", parse) == b"2"
    files.forget()
    files.forget()
    assert files.parsed("/etc/x", parse) == b"2"
    assert parsed == [b"1", b"2", b"2"]
    assert files.parsed("/etc/absent", parse) is None


def test_a_file_that_was_just_written_is_read_again(host: Host, files: Files) -> None:
    """Its times may stay the same with a second write, in the same tick of the kernel's clock."""
    path = host.write("etc/x", "1")
    stamp = path.stat()
    for text in ("1", "2"):
        path.write_text(text)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert files.parsed("/etc/x", bytes.hex) == text.encode().hex()


def test_names_that_are_no_text_can_be_told() -> None:
    assert plain(os.fsdecode(b"/a\xff")) == "/a\\xff"
