from __future__ import annotations

import pytest

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore
from deodar.siem.collector.replay import Wanted, parcels, replay
from deodar.siem.connectors.framing import FRAMES, divide


@pytest.fixture
def store(tmp_path):
    return DeadLetterStore(tmp_path / "letters")


def letter(raw, reason="bad field", **more):
    return DeadLetter(reason, "$.x", 0, raw, "https://edr:443", **more)


async def sent(store, wanted):
    put = []

    async def into_journal(parcel):
        put.append(parcel)

    return put, await replay(store, wanted, into_journal)


async def test_events_of_a_batch_go_together_and_leave_the_store(store):
    store.add([letter(b"{}"), letter(b"[]")], "b-1")
    store.add([letter(b"3")], "b-2")
    put, done = await sent(store, Wanted())
    assert (done.letters, done.records, store.count) == (3, 2, 0)
    events, broken = divide(FRAMES, put[0].body)
    assert (list(events), broken) == ([b"{}", b"[]"], [])
    assert put[0].replay.batch.startswith("b-1-r")
    assert put[0].replay.only == ""


async def test_a_whole_body_keeps_its_batch_and_goes_to_the_one_that_refused_it(store):
    store.add([letter(b'{"events":[]}', framing="kata", destination="hook")], "b-1-to-hook")
    store.add([letter(b'{"events":[1]}', framing="kata")], "b-2")
    put, _ = await sent(store, Wanted())
    assert [(one.replay.batch, one.replay.only) for one in put] == [("b-1", "hook"), ("b-2", "")]
    assert [one.framing for one in put] == ["kata", "kata"]


async def test_ids_or_a_reason_choose(store):
    store.add([letter(b"1", "too long"), letter(b"2", "no number"), letter(b"3", "too long")], "b")
    by_id, done = await sent(store, Wanted(ids=["1-1", "9-9"]))
    assert (done.letters, store.count) == (1, 2)
    assert divide(FRAMES, by_id[0].body)[0][0] == b"2"
    _, done = await sent(store, Wanted(reason="too"))
    assert (done.letters, store.count) == (2, 0)


async def test_what_is_told_without_a_byte_stays(store):
    store.add([letter(b"", "events may be missing")], "aside-1")
    put, done = await sent(store, Wanted())
    assert (put, done.letters, store.count) == ([], 0, 1)


async def test_a_letter_that_cannot_be_put_into_the_journal_stays(store):
    store.add([letter(b"1")], "b")

    async def full(_parcel):
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        await replay(store, Wanted(), full)
    assert store.count == 1


def test_the_same_letters_become_the_same_batch_whose_name_does_not_grow(store):
    store.add([letter(b"1")], "b-1")
    (first,) = parcels(store.walk())
    assert next(parcels(store.walk())).replay == first.replay
    store.add([letter(b"1")], first.replay.batch)
    again = list(parcels(store.walk()))[1].replay.batch
    assert again != first.replay.batch
    assert len(again) == len(first.replay.batch)


def test_many_letters_become_several_records(store):
    store.add([letter(b"%d" % number) for number in range(2500)], "b")
    assert [len(one.ids) for one in parcels(store.walk())] == [1000, 1000, 500]
