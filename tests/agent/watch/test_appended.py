from __future__ import annotations

from deodar.agent.watch.appended import Appended


def append(path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_only_what_is_new_is_read(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"old")
    appended = Appended(path)
    assert appended.read() == b""
    append(path, b"new")
    assert appended.read() == b"new"
    assert appended.read() == b""


def test_a_file_that_comes_later_is_read_from_its_start(tmp_path):
    appended = Appended(tmp_path / "log")
    assert appended.read() == b""
    append(tmp_path / "log", b"first")
    assert appended.read() == b"first"


def test_rotation_and_cutting_begin_anew(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"12345678")
    appended = Appended(path)
    appended.read()
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"next one")
    assert appended.read() == b"next one"
    path.write_bytes(b"cut")
    assert appended.read() == b"cut"


def test_only_whole_units_are_taken_and_bytes_can_be_given_back(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"")
    appended = Appended(path)
    appended.read()
    append(path, b"abcde")
    assert appended.read(4) == b"abcd"
    append(path, b"fgh")
    assert appended.read(4) == b"efgh"
    appended.give_back(2)
    assert appended.read() == b"gh"
