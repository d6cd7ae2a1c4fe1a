from __future__ import annotations

from deodar.kit.directory import StateDirectory
from deodar.siem.collector.streams import FILE, MOST, Place, Streams


def test_a_stream_that_was_left_is_found_again(tmp_path):
    home = StateDirectory(tmp_path)
    Streams(home).leave("a", "t1", 5)
    assert Streams(home).of("a") == Place("t1", 5)
    assert Streams(home).of("b") is None


def test_without_a_state_there_is_no_place(tmp_path):
    streams = Streams(StateDirectory(tmp_path))
    streams.leave("a", "t1", 0)
    streams.leave("a", None, 0)
    assert streams.of("a") is None


def test_the_first_one_left_is_forgotten_first(tmp_path):
    streams = Streams(StateDirectory(tmp_path))
    for number in range(MOST):
        streams.leave(f"s{number}", "t", 0)
    streams.leave("s0", "again", 0)
    streams.leave("new", "t", 0)
    assert streams.of("s1") is None
    assert streams.of("s0") == Place("again")


def test_a_broken_file_counts_as_empty(tmp_path):
    home = StateDirectory(tmp_path)
    home.write(FILE, b"{")
    assert Streams(home).of("a") is None
