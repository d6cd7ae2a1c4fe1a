from __future__ import annotations

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore


def letter(number: int, raw: bytes = b"{broken", source: str = "https://edr") -> DeadLetter:
    return DeadLetter("invalid JSON: no quote", "Ioa.0", number, raw, source)


def test_letters_come_back_newest_first_and_whole(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path / "dead")
    before = time.time_ns() // 1000
    assert store.add([letter(0), letter(1, b"\xff\x00")], "batch-1") == 2
    assert store.add([letter(5)], "batch-2") == 1
    found = store.list(10)
    assert [(one.batch_id, one.letter) for one in found] == [
        ("batch-2", letter(5)),
        ("batch-1", letter(1, b"\xff\x00")),
        ("batch-1", letter(0)),
    ]
    assert before <= found[0].time <= time.time_ns() // 1000
    assert [one.id for one in store.list(2)] == [one.id for one in found[:2]]
    assert store.read(found[1].id) == found[1]
    assert store.count == 3


def test_a_batch_that_is_redone_is_kept_once(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    store.add([letter(0)], "batch-1")
    assert store.add([letter(0)], "batch-1") == 0
    assert DeadLetterStore(tmp_path).add([letter(0)], "batch-1") == 0
    assert store.add([letter(0)], "batch-2") == 1
    assert store.add([letter(1)], "batch-1") == 1
    assert store.count == 3


def test_the_store_is_found_again(tmp_path: Path) -> None:
    DeadLetterStore(tmp_path).add([letter(0)], "b")
    again = DeadLetterStore(tmp_path)
    again.add([letter(1)], "b")
    assert [one.letter.index for one in again.list()] == [1, 0]
    assert again.bytes_used == sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))


def test_the_oldest_go_when_it_is_full_and_are_counted(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path, max_bytes=1000)
    for number in range(10):
        store.add([letter(number, b"x" * 100)], f"batch-{number}")
    kept = [one.letter.index for one in store.list()]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 9
    assert store.bytes_used <= 1000
    assert store.count + store.dropped == 10
    assert DeadLetterStore(tmp_path, max_bytes=1000).dropped == store.dropped > 0


def test_what_is_larger_than_the_store_is_counted_not_kept(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path, max_bytes=100)
    assert store.add([letter(0, b"x" * 200)], "b") == 0
    assert (store.count, store.dropped) == (0, 1)


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path / "dead", max_bytes=300)
    for number in range(3):
        store.add([letter(number)], str(number))
    assert stat.S_IMODE((tmp_path / "dead").stat().st_mode) == 0o700
    files = list((tmp_path / "dead").iterdir())
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_half_pairs_in_a_reason_can_be_stored(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    store.add([DeadLetter("odd \ud800", "\ud800", 0, b"x")], "b")
    assert store.list()[0].letter.path == "\\ud800"


@pytest.mark.parametrize("letter_id", ["1-7", "9-0", "", "x"])
def test_an_unknown_id_finds_nothing(tmp_path: Path, letter_id: str) -> None:
    store = DeadLetterStore(tmp_path)
    store.add([letter(0)], "b")
    assert store.read(letter_id) is None


def test_no_letters_make_no_file(tmp_path: Path) -> None:
    assert DeadLetterStore(tmp_path).add([], "b") == 0
    assert list(tmp_path.iterdir()) == []


def test_threads_do_not_disturb_one_another(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.add([letter(n)], f"b{n}"), range(40)))
    assert sorted(one.letter.index for one in store.list(100)) == list(range(40))
    assert len({one.id for one in store.list(100)}) == 40


def test_letters_are_walked_from_the_oldest_on_by_what_their_reason_says(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    store.add([DeadLetter("too long", "$.a", 0, b"1"), DeadLetter("no number", "$", 1, b"2")], "a")
    store.add([DeadLetter("too long", "$", 0, b"3")], "b")
    assert [one.letter.raw for one in store.walk()] == [b"1", b"2", b"3"]
    assert [one.letter.raw for one in store.walk("too")] == [b"1", b"3"]


def test_removed_letters_are_gone_and_the_others_keep_their_ids(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    letters = [letter(number) for number in range(3)]
    store.add(letters, "a")
    store.add([letter(9)], "b")
    ids = {one.letter.index: one.id for one in store.walk()}
    assert store.remove([ids[1], ids[9], "7-7"]) == 2
    for found in (store, DeadLetterStore(tmp_path)):
        assert {one.letter.index: one.id for one in found.walk()} == {0: ids[0], 2: ids[2]}
        assert found.count == 2
        assert found.read(ids[1]) is None
        assert found.add(letters, "a") == 0
    assert store.remove([ids[0], ids[2]]) == 2
    assert list(tmp_path.glob("*.jsonl")) == []


def test_framing_and_destination_are_kept(tmp_path: Path) -> None:
    whole = DeadLetter("refused", "$", 0, b"{}", "edr", "kata", "hook")
    store = DeadLetterStore(tmp_path)
    store.add([whole], "a")
    assert store.list()[0].letter == whole
