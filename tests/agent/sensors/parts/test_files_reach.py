# ruff: noqa: PTH123 - what opens is the builtin that everybody uses
"""Against the real kernel: libraries, raw devices, the memory of other processes."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deodar.agent.sensors.acts import DeviceOpen, LibraryLoad, ProcessAccess, ProcessTampering
from deodar.agent.sensors.file_policy import FilePolicy
from deodar.agent.sensors.parts.files_policy import put_policy

pytestmark = pytest.mark.root
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
LIBRARY = Path(sysconfig.get_path("stdlib")) / "lib-dynload"
EXECUTABLE = mmap.PROT_READ | mmap.PROT_EXEC


@pytest.fixture
def library(tmp_path):
    """A library that no program has loaded before: a copy."""
    source = next(path for path in sorted(LIBRARY.glob("*.so")))
    return Path(shutil.copy(source, tmp_path / "of-this-test.so"))


@pytest.fixture
def program(tmp_path):
    """A program that nothing was loaded into before: a copy."""
    return Path(shutil.copy("/bin/true", tmp_path / "program"))


@pytest.fixture
def acts(files, collect, tmp_path):
    """Return what was told of one kind, up to now."""

    def read(kind, pid=None):
        end = tmp_path / "end"
        end.mkdir()
        wanted = os.fsencode(end)
        records = collect(files, lambda rs: any(getattr(r, "path", b"") == wanted for r in rs))
        end.rmdir()
        return [r for r in records if type(r) is kind and (pid is None or r.key.pid == pid)]

    return read


def map_code(descriptor, protection=EXECUTABLE):
    return LIBC.mmap(None, mmap.PAGESIZE, protection, mmap.MAP_PRIVATE, descriptor, 0)


def test_libraries_that_the_loader_maps_at_the_start(acts, program):
    process = subprocess.Popen([program])
    process.wait()
    found = acts(LibraryLoad, process.pid)
    (libc,) = [r for r in found if b"/libc.so" in r.path or b"/libc-2" in r.path]
    assert libc.identity.ino == Path(os.fsdecode(libc.path)).stat().st_ino
    assert libc.identity.size == Path(os.fsdecode(libc.path)).stat().st_size
    assert libc.deleted is False
    assert not [r for r in found if r.path == bytes(program)]


def libc_loads(records):
    return [r for r in records if b"/libc.so" in r.path or b"/libc-2" in r.path]


def test_what_a_program_loads_again_is_told_only_after_a_while(acts, files, program):
    def run(times):
        processes = [subprocess.Popen([program]) for _ in range(times)]
        for process in processes:
            process.wait()
        pids = {process.pid for process in processes}
        return [r for r in libc_loads(acts(LibraryLoad)) if r.key.pid in pids]

    assert len(run(3)) == 1
    assert run(1) == []
    put_policy(files.session.parts[1].loaded, FilePolicy(repeat_after=0.0))
    assert len(run(2)) == 2


def test_another_program_that_loads_the_same_is_told(acts, program):
    other = Path(shutil.copy(program, program.with_name("other")))
    pids = set()
    for path in (program, other):
        process = subprocess.Popen([path])
        process.wait()
        pids.add(process.pid)
    assert {r.key.pid for r in libc_loads(acts(LibraryLoad))} >= pids


@pytest.mark.parametrize("way", ["mmap", "mprotect"])
def test_a_library_that_is_loaded_later(acts, library, way):
    with library.open("rb") as file:
        if way == "mmap":
            map_code(file.fileno())
        else:
            at = map_code(file.fileno(), mmap.PROT_READ)
            assert acts(LibraryLoad, os.getpid()) == []
            assert LIBC.mprotect(at, mmap.PAGESIZE, EXECUTABLE) == 0
    (found,) = acts(LibraryLoad, os.getpid())
    assert (found.path, found.deleted) == (bytes(library), False)
    assert found.identity.ino == library.stat().st_ino
    assert stat.S_ISREG(found.mode)


def test_code_without_a_name_is_told_each_time(acts):
    descriptor = os.memfd_create("deodar-test")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    for _ in range(2):
        map_code(descriptor)
    os.close(descriptor)
    found = acts(LibraryLoad, os.getpid())
    assert [(r.path, r.deleted) for r in found] == [(b"/memfd:deodar-test", True)] * 2


def test_memory_that_is_no_code_and_code_that_is_no_file(acts, library):
    with library.open("rb") as file:
        map_code(file.fileno(), mmap.PROT_READ)
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    assert acts(LibraryLoad, os.getpid()) == []


@pytest.fixture
def disk(tmp_path):
    """A block device that may be opened here: the first loop device, under another name."""
    path = tmp_path / "disk"
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 0))
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"no block device may be opened here: {error.strerror}")
    return path


def test_a_disk_by_whatever_name(acts, disk):
    acts(DeviceOpen)
    for flags in (os.O_RDWR, os.O_RDWR, os.O_WRONLY):
        try:
            os.close(os.open(disk, flags))
        except OSError as error:
            pytest.skip(f"no block device may be written to here: {error.strerror}")
    found = acts(DeviceOpen, os.getpid())
    assert [(r.path, r.block, r.major, r.minor, r.flags & 3) for r in found] == [
        (bytes(disk), True, 7, 0, os.O_RDWR),
        (bytes(disk), True, 7, 0, os.O_WRONLY),
    ]


def test_a_disk_that_is_read(acts, disk):
    child = subprocess.run(
        [sys.executable, "-c", f"import os; os.open({str(disk)!r}, 0); print(os.getpid())"],
        capture_output=True,
        check=True,
    )
    (found,) = acts(DeviceOpen, int(child.stdout))
    assert (found.path, found.flags & 3) == (bytes(disk), os.O_RDONLY)


def test_the_memory_of_the_host(acts, tmp_path):
    path = tmp_path / "memory"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 1))
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"this kernel does not give out its memory: {error.strerror}")
    (found,) = acts(DeviceOpen, os.getpid())
    assert (found.path, found.block, found.major, found.minor) == (bytes(path), False, 1, 1)


def test_other_devices_are_no_raw_ones(acts, disk):
    acts(DeviceOpen)
    for name in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/full"):
        open(name, "rb").close()
    os.close(os.open(disk, os.O_PATH))
    assert acts(DeviceOpen, os.getpid()) == []


@pytest.fixture
def other():
    process = subprocess.Popen(["/bin/sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("flags", "kind", "way"),
    [
        (os.O_RDONLY, ProcessAccess, "proc_mem_read"),
        (os.O_RDWR, ProcessTampering, "proc_mem_write"),
        (os.O_WRONLY, ProcessTampering, "proc_mem_write"),
    ],
)
@pytest.mark.parametrize("path", ["/proc/{0}/mem", "/proc/{0}/task/{0}/mem"])
def test_the_memory_of_another_process(acts, other, flags, kind, way, path):
    for _ in range(2):
        os.close(os.open(path.format(other.pid), flags))
    (found,) = acts(kind, os.getpid())
    assert (found.way, found.target.pid) == (way, other.pid)
    assert found.target.start > found.key.start


def test_ones_own_memory_and_others_files_are_no_access(acts, other):
    open("/proc/self/mem", "rb").close()
    open(f"/proc/{os.getpid()}/mem", "r+b").close()
    open(f"/proc/{other.pid}/maps", "rb").close()
    for kind in (ProcessAccess, ProcessTampering):
        assert acts(kind, os.getpid()) == []
