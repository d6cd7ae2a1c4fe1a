from __future__ import annotations

import pytest

from deodar.agent.sensors.acts import FileChange, FileOperation
from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.agent.watch import doers as module
from deodar.agent.watch.doers import Doers

KEY = ProcessKey(7, 8)


def change(
    path: bytes, time: int = 100, dev: int | None = None, previous: bytes = b""
) -> FileChange:
    identity = FileIdentity(dev, 2, 3, 4, 5) if dev is not None else None
    return FileChange(time, KEY, FileOperation.MODIFY, path, previous, identity)


def test_who_changed_a_file_is_known_by_its_path() -> None:
    heard: list[str] = []
    doers = Doers(("/etc/", "*/.config/"), heard.append)
    for record in (change(b"/etc/passwd"), change(b"/home/a/.config/x"), change(b"/tmp/x")):
        assert doers.see(record) == ()
    assert heard == ["/etc/passwd", "/home/a/.config/x"]
    (found,) = doers.of("/etc/passwd", None, 100)
    assert (found.key, found.time_ns) == (KEY, 100)
    assert doers.of("/tmp/x", None, 0) == ()


def test_the_last_who_changed_a_file_comes_first_each_once() -> None:
    doers = Doers(("/etc/",), lambda _: None)
    for number in (*range(20), 15):
        record = change(b"/etc/passwd", 100 + number)
        record.key = ProcessKey(number, 1)
        doers.see(record)
    found = [doer.key.pid for doer in doers.of("/etc/passwd", None, 0)]
    assert found == [15, 19, 18, 17, 16, 14, 13, 12]


def test_what_is_too_old_or_on_another_device_is_not_it() -> None:
    doers = Doers(("/etc/",), lambda _: None)
    doers.see(change(b"/etc/passwd", dev=1))
    assert doers.of("/etc/passwd", None, 101) == ()
    assert doers.of("/etc/passwd", (2, 2), 0) == ()
    assert doers.of("/etc/passwd", (1, 9), 0) != ()


def test_both_names_of_a_renamed_file_are_noted() -> None:
    doers = Doers(("/etc/",), lambda _: None)
    doers.see(change(b"/tmp/away", previous=b"/etc/cron.d/job"))
    assert doers.of("/etc/cron.d/job", None, 0) != ()


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    doers = Doers(("/",), lambda _: None)
    for name in (b"/a", b"/b", b"/a", b"/c"):
        doers.see(change(name))
    assert [doers.of(name, None, 0) != () for name in ("/a", "/b", "/c")] == [
        True,
        False,
        True,
    ]


def test_it_takes_and_holds_nothing() -> None:
    doers = Doers(("/",), lambda _: None)
    assert doers.takes == ()
    assert doers.waiting == 0
    assert doers.due(0.0, last=True) == ()
    record = change(b"/a")
    assert doers.take(record) == (record,)
