from __future__ import annotations

import io
import stat
import tarfile

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deodar.edr.backup.archive import FORMAT, HEADER, MANIFEST, Archive, Header, Writer
from deodar.edr.errors import BackupError

HEAD = Header(FORMAT, "0", 1, "id", 7, "0001", keys=False)


def write(path, files: dict[str, bytes], header: Header = HEAD) -> bytes:
    with Writer(path) as writer:
        writer.add(HEADER, msgspec.json.encode(header))
        for name, data in files.items():
            writer.add(name, data)
        writer.finish(3)
    return path.read_bytes()


FILES = {"control/a.000000": b"rows", "files/x/y.pem": b"pem" * 1000, "log/1": b""}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "b.tar"


def test_what_was_written_is_read_again(path, tmp_path):
    write(path, FILES)
    archive = Archive(path)
    assert archive.header == HEAD
    assert archive.manifest.events == 3
    assert dict(archive.read("control/")) == {"a.000000": b"rows"}
    archive.copy("files/", tmp_path / "out")
    assert (tmp_path / "out/x/y.pem").read_bytes() == FILES["files/x/y.pem"]


def test_only_its_owner_can_read_it(path, tmp_path):
    write(path, FILES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Archive(path).copy("files/", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/x/y.pem").stat().st_mode) == 0o600


def test_a_file_is_never_replaced(path):
    path.write_bytes(b"mine")
    with pytest.raises(BackupError, match="exists"):
        Writer(path)
    assert path.read_bytes() == b"mine"


def test_one_that_was_not_finished_leaves_nothing(path, tmp_path):
    def begin() -> None:
        with Writer(path) as writer:
            writer.add("log/1", b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_disk_is_added_and_one_that_is_gone_is_not(path, tmp_path):
    (tmp_path / "there").write_bytes(b"x" * 5_000_000)
    with Writer(path) as writer:
        writer.add(HEADER, msgspec.json.encode(HEAD))
        writer.add_file("files/there", tmp_path / "there")
        writer.add_file("files/gone", tmp_path / "gone")
        writer.finish(0)
    assert dict(Archive(path).read("files/")) == {"there": b"x" * 5_000_000}


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", ".hidden", "a//b", "a b", "ä", ""])
def test_a_name_that_could_leave_the_folder_is_refused(path, name):
    with Writer(path) as writer, pytest.raises(BackupError, match="cannot be in a backup"):
        writer.add(f"files/{name}", b"")
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(f"files/{name}"), io.BytesIO())
    with pytest.raises(BackupError, match="strange entry"):
        Archive(path)


def test_a_link_is_refused(path):
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("files/a")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(BackupError, match="strange entry"):
        Archive(path)


def test_a_newer_format_is_told(path):
    write(path, FILES, msgspec.structs.replace(HEAD, format=FORMAT + 1))
    with pytest.raises(BackupError, match="newer version"):
        Archive(path)


def repacked(path, change) -> None:
    """Write the backup's entries anew, as `change` makes them of (name, data) pairs."""
    with tarfile.open(path) as tar:
        entries = [(info.name, tar.extractfile(info).read()) for info in tar]
    with tarfile.open(path, "w") as tar:
        for name, data in change(entries):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda entries: [e for e in entries if e[0] != "log/1"], "log/1 is missing"),
        (lambda entries: [("log/2", b""), *entries], "log/2 is not in the manifest"),
        (lambda entries: [*entries[:1], entries[1], *entries[1:]], "twice"),
        (lambda entries: [*entries, ("log/2", b"")], "behind its manifest"),
        (lambda entries: entries[:-1], f"no {MANIFEST}"),
        (lambda entries: entries[1:], f"no {HEADER}"),
        (lambda entries: [(n, b"X" * len(d) if n == "files/x/y.pem" else d) for n, d in entries],
         "y.pem is damaged"),
        (lambda entries: [(n, b"{" if n == MANIFEST else d) for n, d in entries], "is damaged"),
    ],
)  # fmt: skip
def test_what_was_changed_is_told(path, change, told):
    write(path, FILES)
    repacked(path, change)
    with pytest.raises(BackupError, match=told):
        Archive(path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_the_same_backup(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("b") / "b.tar"
    whole = write(path, FILES)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :])
    try:
        archive = Archive(path)
    except BackupError:
        return
    assert {n: d for n, d in archive.read("") if n in FILES} == FILES


@given(junk=st.binary(max_size=2000))
def test_junk_is_an_error(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("b") / "b.tar"
    path.write_bytes(junk)
    with pytest.raises(BackupError):
        Archive(path)


def test_a_missing_file_is_told(path):
    with pytest.raises(BackupError, match="No such file"):
        Archive(path)
