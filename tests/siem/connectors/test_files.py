"""The files of one connector without the connector, with a clock of the test's own."""

from __future__ import annotations

import os

import pytest

from deodar.siem.connectors.file import FileSettings
from deodar.siem.connectors.files import Files


class Looked:
    """Files after looks and harvests; `counts` and `lines` are what came of them."""

    def __init__(self, *paths, state=None, **changes) -> None:
        self.now = 1000.0
        self.counts: dict[str, int] = {}
        self.lines: list[bytes] = []
        settings = FileSettings(paths=[str(path) for path in paths], **changes)
        self.files = Files(settings, state, self._count, clock=lambda: self.now)
        self.again()

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def again(self, seconds: float = 0.0) -> list[bytes]:
        """Look and harvest until there is nothing more; returns the new lines."""
        self.now += seconds
        self.files.look()
        new = []
        while (harvest := self.files.harvest(1 << 20)).lines or harvest.more:
            new += [line for _, lines in harvest.lines for line in lines]
        self.lines += new
        return new


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(100)))
    return path


def test_a_copy_is_put_off_until_it_is_known_what_it_is_for(log):
    looked = Looked(f"{log}*")
    copy = log.with_name("app.log.1")
    copy.write_bytes(log.read_bytes() + b"unread\n")
    assert looked.again() == []  # the copy of a rotation in progress
    os.truncate(log, 0)
    assert looked.again() == [b"unread"]
    assert looked.counts["copies_followed"] == looked.counts["files_truncated"] == 1


def test_a_copy_that_takes_no_ones_place_is_read_as_a_file_of_its_own(log):
    looked = Looked(f"{log}*", linger_seconds=10.0)
    log.with_name("app.log.backup").write_bytes(log.read_bytes())
    assert looked.again() == []
    assert len(looked.again(60.0)) == 100


def test_a_truncation_behind_which_the_file_has_grown_again_is_seen(log):
    looked = Looked(log)
    log.write_bytes(b"".join(b"other %d\n" % n for n in range(500)))
    assert len(looked.again()) == 500
    assert looked.counts["files_truncated"] == 1


def test_files_that_begin_alike_are_not_taken_for_copies_for_ever(tmp_path):
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"started\n")
    looked = Looked(tmp_path / "*.log")
    assert looked.lines == [b"started"] * 2
    (tmp_path / "c.log").write_bytes(b"started\n")
    looked.again()
    assert looked.again(60.0) == [b"started"]


def test_a_file_that_is_gone_is_let_go_after_a_while_and_found_again(log, tmp_path):
    looked = Looked(log, linger_seconds=10.0)
    aside = tmp_path / "elsewhere"
    log.rename(aside)
    looked.again()
    with aside.open("ab") as file:
        file.write(b"late\n")
    assert looked.again() == [b"late"]
    looked.again(11.0)
    assert looked.files.state().places == []
    with aside.open("ab") as file:
        file.write(b"later\n")
    aside.rename(log)
    assert looked.again() == [b"later"]


def test_what_is_no_regular_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "a.log")
    (tmp_path / "b.log").mkdir()
    (tmp_path / "c.log").symlink_to(tmp_path / "absent")
    assert Looked(tmp_path / "*.log").files.state().places == []


def test_a_file_that_was_gone_while_nobody_looked_is_told(log):
    looked = Looked(log)
    state = looked.files.state()
    looked.files.close()
    log.unlink()
    assert Looked(log, state=state).counts == {"files_gone_while_closed": 1}


def test_the_places_of_a_file_survive_as_text(log):
    import msgspec

    from deodar.siem.connectors.files import State

    state = Looked(log).files.state()
    again = msgspec.json.decode(msgspec.json.encode(state), type=State)
    assert again == state
    assert Looked(log, state=again).lines == []
