"""Against the real kernel: what is done to files, in the ways in which it can be done."""

# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH123, PTH211 - every test makes certain system calls, which `os` names

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.agent.sensors.reaching import CODE

from deodar.agent.sensors.acts import FileChange, FileClosed, FileOperation
from deodar.agent.sensors.file_policy import FilePolicy
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.parts.files import FILES
from deodar.agent.sensors.parts.files_policy import put_policy

pytestmark = pytest.mark.root
LIBC = ctypes.CDLL(None, use_errno=True)
CREATE, MODIFY, RENAME, ATTRIBUTES, DELETE = FileOperation
FICLONE = 0x40049409
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, NODUMP = 0x80086601, 0x40086602, 0x40
OPENAT2 = 437


def test_it_is_in_use() -> None:
    assert FILES in PARTS


@pytest.fixture
def changes(files, collect, tmp_path):
    """Return what happened to the files of this test, up to now."""
    folder = os.fsencode(tmp_path) + b"/"

    def mine(record):
        return isinstance(record, FileChange) and (
            record.path.startswith(folder) or record.previous.startswith(folder)
        )

    def read(kind=FileChange):
        end = tmp_path / "end"
        os.mkdir(end)
        records = collect(files, lambda rs: any(mine(r) and r.path == bytes(end) for r in rs))
        os.rmdir(end)
        if kind is FileClosed:
            return [r for r in records if isinstance(r, FileClosed)]
        return [r for r in records if mine(r) and r.path != bytes(end)]

    return read


def told(records):
    return [(r.operation, r.path) for r in records]


def open_openat2(path, flags, mode):
    how = (ctypes.c_uint64 * 3)(flags, mode, 0)
    return LIBC.syscall(OPENAT2, -100, os.fsencode(path), how, 24)


@pytest.mark.parametrize(
    "way", [os.open, open_openat2, lambda path, _, mode: LIBC.creat(os.fsencode(path), mode)]
)
def test_a_new_file_is_told_once_with_its_end(changes, files, collect, tmp_path, way):
    path = tmp_path / "new"
    descriptor = way(path, os.O_CREAT | os.O_WRONLY, 0o640)
    os.write(descriptor, b"first")
    os.write(descriptor, b"second")
    os.close(descriptor)
    status = path.stat()
    records = collect(files, lambda rs: any(isinstance(r, FileClosed) for r in of_file(rs, path)))
    created, closed = of_file(records, path)
    assert (created.operation, created.path, created.key.pid) == (CREATE, bytes(path), os.getpid())
    assert (created.exact, created.closes) == (True, True)
    assert stat.S_ISREG(created.mode)
    assert closed.identity[1:] == (
        status.st_ino,
        len(b"firstsecond"),
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    assert closed.key == created.key


def of_file(records, path):
    ino = path.stat().st_ino
    kinds = (FileChange, FileClosed)
    return [r for r in records if isinstance(r, kinds) and r.identity and r.identity.ino == ino]


def by_write(descriptor, _source):
    os.write(descriptor, b"x")


def by_pwrite(descriptor, _source):
    os.pwrite(descriptor, b"x", 3)


def by_writev(descriptor, _source):
    os.writev(descriptor, [b"x", b"y"])


def by_pwritev(descriptor, _source):
    os.pwritev(descriptor, [b"x", b"y"], 1)


def by_truncate(descriptor, _source):
    os.ftruncate(descriptor, 1)


def by_fallocate(descriptor, _source):
    os.posix_fallocate(descriptor, 0, 1000)


def by_sendfile(descriptor, source):
    assert os.sendfile(descriptor, source, 0, 3) == 3


def by_copy(descriptor, source):
    assert os.copy_file_range(source, descriptor, 3) == 3


def by_splice(descriptor, source):
    read_end, write_end = os.pipe()
    os.write(write_end, b"abc")
    assert os.splice(read_end, descriptor, 3) == 3
    os.close(read_end)
    os.close(write_end)


def by_mapping(descriptor, _source):
    with mmap.mmap(descriptor, 3) as memory:
        memory[0] = 7


@pytest.mark.parametrize(
    "way",
    [
        by_write, by_pwrite, by_writev, by_pwritev, by_truncate, by_fallocate, by_sendfile,
        by_copy, by_splice, by_mapping,
    ],
)  # fmt: skip
def test_a_file_that_is_written_to_is_told_once(changes, tmp_path, way):
    path, source = tmp_path / "old", tmp_path / "source"
    path.write_bytes(b"abc")
    source.write_bytes(b"abc")
    changes()
    descriptor, other = os.open(path, os.O_RDWR), os.open(source, os.O_RDONLY)
    way(descriptor, other)
    os.write(descriptor, b"again")
    os.close(descriptor)
    os.close(other)
    (found,) = changes()
    assert (found.operation, found.path, found.exact) == (MODIFY, bytes(path), True)
    assert found.identity.ino == path.stat().st_ino


@pytest.mark.parametrize("way", ["open", "truncate"])
def test_a_file_that_is_emptied_is_modified(changes, tmp_path, way):
    path = tmp_path / "old"
    path.write_bytes(b"abc")
    changes()
    if way == "open":
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    else:
        os.truncate(path, 0)
    assert told(changes()) == [(MODIFY, bytes(path))]


def test_each_opening_is_told_for_itself(changes, tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"abc")
    changes()
    for _ in range(3):
        with path.open("ab") as file:
            file.write(b"x")
    assert told(changes()) == [(MODIFY, bytes(path))] * 3


def test_a_descriptor_that_was_replaced_is_another_file(changes, tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.touch()
    changes()
    one, two = [os.open(path, os.O_WRONLY) for path in paths]
    os.write(one, b"x")
    os.dup2(two, one)
    os.write(one, b"x")
    os.close(one)
    os.close(two)
    assert told(changes()) == [(MODIFY, bytes(path)) for path in paths]


def test_a_child_that_writes_to_its_parents_file_is_told_itself(changes, tmp_path):
    path = tmp_path / "out"
    with path.open("wb") as file:
        file.write(b"begin")
        file.flush()
        child = subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=file)
        child.wait()
    found = changes()
    assert [(r.operation, r.key.pid) for r in found] == [(CREATE, os.getpid()), (MODIFY, child.pid)]


def test_reading_and_opening_change_nothing(changes, tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"abc")
    changes()
    with path.open("r+b") as file:
        file.read()
    path.read_bytes()
    path.stat()
    os.access(path, os.W_OK)
    with pytest.raises(FileExistsError):
        path.mkdir()
    with pytest.raises(FileNotFoundError):
        (tmp_path / "none").unlink()
    assert changes() == []


def test_what_is_no_file_is_left_out(changes, files, collect, tmp_path):
    with open("/dev/null", "wb") as null, open("/proc/self/comm", "wb") as comm:
        null.write(b"x")
        comm.write(b"tester")
    here, there = socket.socketpair()
    here.send(b"x")
    memory = os.memfd_create("deodar-test")
    os.write(memory, b"x")
    os.mkdir(tmp_path / "last")
    records = collect(files, lambda rs: any(r.path.endswith(b"/last") for r in changed(rs)))
    names = (b"/dev/", b"/proc/", b"/memfd:", b"socket:")
    assert [r for r in changed(records) if r.path.startswith(names)] == []
    os.close(memory)
    here.close()
    there.close()


def changed(records):
    return [r for r in records if isinstance(r, FileChange) and r.key.pid == os.getpid()]


def test_names_that_are_made(changes, tmp_path):
    old = tmp_path / "old"
    old.touch()
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    changes()
    os.mkdir(tmp_path / "a", 0o750)
    os.mkdir("b", dir_fd=folder)
    os.mkfifo(tmp_path / "c")
    os.mknod("d", stat.S_IFREG | 0o600, dir_fd=folder)
    os.symlink(old, tmp_path / "e")
    os.symlink(old, "f", dir_fd=folder)
    os.link(old, tmp_path / "g")
    os.link("old", "h", src_dir_fd=folder, dst_dir_fd=folder)
    os.close(folder)
    found = changes()
    assert told(found) == [(CREATE, bytes(tmp_path / name)) for name in "abcdefgh"]
    kinds = [stat.S_IFMT(record.mode) for record in found]
    assert kinds[:6] == [stat.S_IFDIR] * 2 + [stat.S_IFIFO, stat.S_IFREG] + [stat.S_IFLNK] * 2
    assert not any(record.exact for record in found)


def test_names_that_are_changed_and_removed(changes, tmp_path):
    for name in "abc":
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    changes()
    os.rename(tmp_path / "a", tmp_path / "a2")
    os.rename("b", "folder/b2", src_dir_fd=folder, dst_dir_fd=folder)
    os.unlink(tmp_path / "a2")
    os.unlink("folder/b2", dir_fd=folder)
    os.rmdir(tmp_path / "folder")
    os.close(folder)
    found = changes()
    assert told(found) == [
        (RENAME, bytes(tmp_path / "a2")),
        (RENAME, bytes(tmp_path / "folder/b2")),
        (DELETE, bytes(tmp_path / "a2")),
        (DELETE, bytes(tmp_path / "folder/b2")),
        (DELETE, bytes(tmp_path / "folder")),
    ]
    assert [r.previous for r in found[:3]] == [bytes(tmp_path / "a"), bytes(tmp_path / "b"), b""]


def test_relative_names_are_made_absolute(changes, tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    changes()
    monkeypatch.chdir(tmp_path / "sub")
    os.mkdir("../x")
    os.rename(".././x", "..//sub/y/")
    os.rmdir("y")
    assert told(changes()) == [
        (CREATE, bytes(tmp_path / "x")),
        (RENAME, bytes(tmp_path / "sub/y")),
        (DELETE, bytes(tmp_path / "sub/y")),
    ]


def test_attributes(changes, tmp_path):
    path = tmp_path / "old"
    path.touch()
    descriptor = os.open(path, os.O_RDWR)
    changes()
    path.chmod(0o755)
    os.fchmod(descriptor, 0o600)
    os.chown(path, 0, 0)
    os.fchown(descriptor, 0, 0)
    os.lchown(path, 0, 0)
    os.utime(path)
    os.utime(descriptor)
    os.setxattr(path, "user.deodar", b"x")
    os.setxattr(descriptor, "user.deodar", b"y")
    os.removexattr(path, "user.deodar")
    os.close(descriptor)
    found = changes()
    assert told(found) == [(ATTRIBUTES, bytes(path))] * 10
    assert [r.exact for r in found] == [False, True] * 2 + [False, False, True, False, True, False]
    assert (found[0].mode, found[1].mode) == (0o755, stat.S_IFREG | 0o600)


def test_flags_of_a_file_are_attributes_too(changes, tmp_path):
    path = tmp_path / "old"
    path.touch()
    changes()
    with path.open("rb") as file:
        flags = bytearray(8)
        try:
            fcntl.ioctl(file, FS_IOC_GETFLAGS, flags)
            fcntl.ioctl(file, FS_IOC_SETFLAGS, bytes([flags[0] ^ NODUMP]) + bytes(flags[1:]))
        except OSError:
            pytest.skip("the file system of this test has no such flags")
    assert told(changes()) == [(ATTRIBUTES, bytes(path))]


def test_a_long_path_is_told_as_far_as_it_goes(changes, tmp_path):
    folder = tmp_path
    for _ in range(14):
        folder = folder / ("d" * 200)
    folder.mkdir(parents=True)
    (folder / "file").touch()
    found = [r for r in changes() if r.exact]
    assert [r.path for r in found] == [bytes(folder / "file")]


def test_a_path_that_is_too_long_loses_its_first_folders(files, collect, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(25):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    mark = f"mark-{os.getpid()}"
    Path(mark).touch()
    records = collect(files, lambda rs: any(r.path.endswith(mark.encode()) for r in changed(rs)))
    (found,) = [r for r in changed(records) if r.path.endswith(mark.encode())]
    assert found.path.startswith(b".../" + b"d" * 200)
    assert 3500 < len(found.path) < 4200
    monkeypatch.undo()
    shutil.rmtree(tmp_path / ("d" * 200), ignore_errors=True)


def test_excluded_folders_are_left_out(changes, files, tmp_path):
    left_out = tmp_path / "noise"
    left_out.mkdir()
    changes()
    put_policy(files.session.parts[1].loaded, FilePolicy(excluded=(str(left_out),)))
    (left_out / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    assert told(changes()) == [(CREATE, bytes(tmp_path / "b"))]
    put_policy(files.session.parts[1].loaded, FilePolicy())
    (left_out / "c").write_text("x")
    assert told(changes()) == [(CREATE, bytes(left_out / "c"))]


IN_32_BITS = """
import ctypes, mmap, os, sys
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex(sys.argv[1]))
at = ctypes.addressof(ctypes.c_char.from_buffer(code))
int80 = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint32] * 6)(at)
low = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)  # MAP_32BIT
base = ctypes.addressof(ctypes.c_char.from_buffer(low))
old, new = b"old\\0", b"new\\0"
low[0:4], low[8:12] = old, new
def call(number, *arguments):
    result = int80(number, *arguments, *[0] * (5 - len(arguments)))
    assert result >= 0, (number, result)
    return result
os.chdir(sys.argv[2])
descriptor = call(5, base, os.O_CREAT | os.O_WRONLY, 0o600)
call(4, descriptor, base, 3)
call(6, descriptor)
call(15, base, 0o640)
call(38, base, base + 8)
call(10, base + 8)
call(39, base, 0o700)
call(301, -100 & 0xffffffff, base, 0x200)
"""


def test_32_bit_calls_are_not_taken_for_others(changes, tmp_path):
    command = [sys.executable, "-c", IN_32_BITS, CODE.hex(), str(tmp_path)]
    code = subprocess.run(command, check=False).returncode
    if code == -signal.SIGSEGV:
        pytest.skip("this kernel takes no 32-bit system calls (CONFIG_IA32_EMULATION)")
    assert code == 0
    old, new = bytes(tmp_path / "old"), bytes(tmp_path / "new")
    assert told(changes()) == [
        (CREATE, old),
        (ATTRIBUTES, old),
        (RENAME, new),
        (DELETE, new),
        (CREATE, old),
        (DELETE, old),
    ]
