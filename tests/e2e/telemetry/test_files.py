"""Kinds 3 to 5, 18, 20 and 29 to 34: files, libraries, raw devices, and what is known of files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]
LIBRARY = "libz.so.1"


def named(name: str, operation: str = "") -> tuple[str, ...]:
    """Conditions for the changes of a file."""
    about = f"OldFileName = '{name}'"
    return (about, f"DeviceAction = '{operation}'") if operation else (about,)


def python(code: str, *arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-c", f"import os, sys\n{code}", *map(str, arguments)], check=True
    )


def test_files_are_created(watched, mark, kind, tmp_path):
    written, copied = tmp_path / f"{mark}-w", tmp_path / f"{mark}-c"
    python("open(sys.argv[1], 'w').write('hello')", written)
    subprocess.run(["cp", written, copied], check=True)
    python("os.symlink('nowhere', sys.argv[1])", tmp_path / f"{mark}-l")
    for file, program in ((written, "python"), (copied, "cp")):
        row = watched.row("filechange", *named(file.name, "create"))
        assert row["OldFilePath"] == str(tmp_path)
        assert dict(row["Extra"])["DroppedFullName"] == str(file)
        assert int(row["OldFileSize"]) == 5
        assert program in row["DestinationProcessName"]
        assert row["SourceUserName"] == "root"
    watched.row("filechange", *named(f"{mark}-l", "create"))
    kind(3, "open and write by Python, cp, a symbolic link")


def test_files_are_modified_renamed_and_get_other_attributes(watched, mark, kind, tmp_path):
    file = tmp_path / f"{mark}-m"
    file.write_text("one\n")
    watched.row("filechange", *named(file.name, "create"))
    with file.open("a") as more:
        more.write("two\n")
    row = watched.row("filechange", *named(file.name, "modify"))
    assert int(row["OldFileSize"]) == 8
    mapped = tmp_path / f"{mark}-mmap"
    mapped.write_bytes(bytes(4096))
    code = "import mmap; m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 4096); m[0] = 65; m.flush()"
    python(code, mapped)
    rows = watched.rows("filechange", *named(mapped.name, "modify"))
    assert any(str(mapped) in row["DeviceCustomString4"] for row in rows)  # the one that mapped it
    moved = tmp_path / f"{mark}-moved"
    subprocess.run(["mv", file, moved], check=True)
    row = watched.row("filechange", *named(moved.name, "rename"))
    assert dict(row["Extra"])["PreviousFileName"] == file.name
    subprocess.run(["chmod", "600", moved], check=True)
    watched.row("filechange", *named(moved.name, "attributes modify"))
    kind(4, "appended to, written through a mapping, renamed by mv, chmod")


def test_files_are_deleted(watched, mark, kind, tmp_path):
    first, second = tmp_path / f"{mark}-1", tmp_path / f"{mark}-2"
    for file in (first, second):
        file.touch()
    subprocess.run(["rm", first.name], cwd=tmp_path, check=True)
    python("os.unlink(sys.argv[1])", second)
    for file, program in ((first, "rm"), (second, "python")):
        row = watched.row("filechange", *named(file.name, "delete"))
        assert row["OldFilePath"] == str(tmp_path)
        assert program in row["DestinationProcessName"]
    kind(5, "rm with a relative path, unlink by Python")


def test_looking_at_a_file_changes_nothing(watched, mark, tmp_path):
    file = tmp_path / f"{mark}-r"
    file.write_text("text")
    created = watched.row("filechange", *named(file.name, "create"))
    subprocess.run(["cat", file], check=True, capture_output=True)
    subprocess.run(["stat", file], check=True, capture_output=True)
    subprocess.run(["rm", f"{file}-that-is-not-there"], check=False, capture_output=True)
    assert watched.none(
        "filechange", f"OldFileName LIKE '{file.name}%'", f"ID != '{created['ID']}'"
    )


def fuzzy_hash(watched, program):
    """Return what an event of a running program tells; on a busy host that is a later run's."""
    about = f"DestinationProcessName = '{program}'", "Extra['FuzzyHash'] != ''"
    for _ in range(10):
        with contextlib.suppress(AssertionError):
            return dict(watched.rows("process", *about, limit=4)[0]["Extra"])["FuzzyHash"]
        subprocess.run([program, "--version"], check=True, capture_output=True)
    pytest.fail("no run of the program came with its fuzzy hash")


def test_what_is_known_of_written_and_of_executed_files(watched, mark, kind, tmp_path):
    program = tmp_path / mark
    shutil.copyfile("/bin/ls", program)
    program.chmod(0o755)
    with program.open("ab") as tail:
        tail.write(mark.encode())  # a content that nobody has seen before
    subprocess.run([program, "--version"], check=True, capture_output=True)
    data = program.read_bytes()
    known = {
        29: hashlib.md5(data, usedforsecurity=False).hexdigest(),
        30: hashlib.sha256(data).hexdigest(),
    }
    rows = watched.rows("filechange", *named(program.name), f"OldFileHash = '{known[29]}'")
    written = rows[-1]
    assert written["DeviceCustomString6"] == known[30]
    assert int(written["OldFileSize"]) == len(data)
    extra = dict(written["Extra"])
    assert extra["DroppedHeader"] == data[:16].hex()
    assert 3000 < int(extra["DroppedEntropy"]) < 8000
    run = watched.row("process", f"DestinationProcessName = '{program}'")
    assert (run["FileHash"], run["DeviceCustomString2"]) == (known[29], known[30])
    assert int(run["FileSize"]) == len(data)
    assert dict(run["Extra"])["FileHeader"] == data[:16].hex()
    told = "of a written file, and of an executed one"
    for number in (29, 30, 32, 33, 34):
        kind(number, told)
    assert fuzzy_hash(watched, program).count(":") == 2
    small = tmp_path / f"{mark}-s"
    small.write_bytes(os.urandom(20_000))
    small.chmod(0o755)
    row = watched.row("filechange", *named(small.name), "Extra['DroppedFuzzyHash'] != ''")
    assert dict(row["Extra"])["DroppedFuzzyHash"].count(":") == 2
    kind(31, told)


def test_libraries_mapped_at_the_start_and_later(watched, mark, kind, tmp_path):
    library = next(Path("/lib/x86_64-linux-gnu").glob(LIBRARY), None)
    if library is None:
        pytest.skip(f"needs {LIBRARY}")
    early, late = tmp_path / f"{mark}-early.so", tmp_path / f"{mark}-late.so"
    for copy in (early, late):
        shutil.copyfile(library, copy)
    subprocess.run(["/bin/true"], check=True, env={"LD_PRELOAD": str(early)})
    python("import ctypes; ctypes.CDLL(sys.argv[1])", late)
    for file, program in ((early, "/true"), (late, "python")):
        row = watched.row("module", f"OldFileName = '{file.name}'")
        assert row["OldFilePath"] == str(tmp_path)
        assert program in row["DestinationProcessName"]
        assert dict(row["Extra"])["DllInode"] == str(file.stat().st_ino)
    kind(18, "a library by LD_PRELOAD at the start of a program, and one by dlopen")


def test_reading_a_library_loads_nothing(watched, mark, tmp_path):
    copy = tmp_path / f"{mark}-read.so"
    shutil.copyfile("/bin/true", copy)
    subprocess.run(["cat", copy], check=True, capture_output=True)
    assert watched.none("module", f"OldFileName = '{copy.name}'")


def test_raw_devices_are_opened(watched, mark, kind, tmp_path):
    devices = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    if not devices:
        pytest.skip("this host has no block device")
    disk = min(devices).stat().st_rdev
    major, minor = os.major(disk), os.minor(disk)
    first, second = tmp_path / f"{mark}-disk", tmp_path / f"{mark}-again"
    for node in (first, second):  # by numbers: another name for the device changes nothing
        os.mknod(node, stat.S_IFBLK | 0o600, disk)
    subprocess.run(
        ["dd", f"if={first}", "of=/dev/null", "count=1"], check=True, capture_output=True
    )
    python("os.close(os.open(sys.argv[1], os.O_RDONLY))", second)
    for node in (first, second):
        row = watched.row("rawdevice", f"OldFilePath = '{node}'")
        assert (int(row["FlexNumber1"]), int(row["FlexNumber2"])) == (major, minor)
        assert row["OldFileType"] == "block"
    kind(20, f"a disk ({major}:{minor}) by dd and by open, under names of our own")


def test_harmless_devices_are_not_raw(watched, mark):
    code = "import sys; [open(p, 'rb').read(1) for p in ('/dev/null', '/dev/zero', '/dev/urandom')]"
    subprocess.run([sys.executable, "-c", code, mark], check=True)
    assert watched.none("rawdevice", f"DeviceCustomString4 LIKE '%{mark}%'")
