from __future__ import annotations

import os

from deodar.agent.tasking.outbox import FOLDER, Outbox


def test_answers_wait_over_a_restart_the_oldest_first(tmp_path):
    outbox = Outbox(tmp_path)
    assert (len(outbox), outbox.first()) == (0, None)
    assert not (tmp_path / FOLDER).exists()
    for age, name in ((10, "task-a"), (5, "task-b")):
        outbox.put(name, f"/x/{name}", {"name": name})
        os.utime(tmp_path / FOLDER / f"{name}.json", (1000 - age, 1000 - age))
    first = Outbox(tmp_path).first()
    assert first is not None
    name, letter = first
    assert (name, letter.path, bytes(letter.body)) == (
        "task-a.json",
        "/x/task-a",
        b'{"name":"task-a"}',
    )
    outbox.drop(name)
    assert len(outbox) == 1


def test_a_newer_answer_of_the_same_name_takes_the_place_of_the_old(tmp_path):
    outbox = Outbox(tmp_path)
    for number in (1, 2):
        outbox.put("state-x", "/states", number)
    first = outbox.first()
    assert first is not None
    assert (len(outbox), bytes(first[1].body)) == (1, b"2")


def test_a_damaged_answer_does_not_hold_up_the_others(tmp_path):
    outbox = Outbox(tmp_path)
    outbox.put("task-a", "/a", 1)
    (tmp_path / FOLDER / "task-a.json").write_bytes(b"{half")
    os.utime(tmp_path / FOLDER / "task-a.json", (1, 1))
    outbox.put("task-b", "/b", 2)
    first = outbox.first()
    assert first is not None
    assert first[1].path == "/b"
    assert len(outbox) == 1
