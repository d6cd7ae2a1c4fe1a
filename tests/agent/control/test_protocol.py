from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.control.protocol import (
    PATH_BYTES,
    PIECE,
    Answer,
    LineReader,
    Request,
    TooLong,
    reachable,
)


def reading(data: bytes, limit: int) -> LineReader:
    """Return a reader of a peer that sends this and ends."""
    near, far = socket.socketpair()

    def send() -> None:
        with far, contextlib.suppress(BrokenPipeError):  # who read enough may leave
            far.sendall(data)

    threading.Thread(target=send, daemon=True).start()
    return LineReader(near, limit)


@given(st.lists(st.binary(max_size=50).filter(lambda line: b"\n" not in line), max_size=5))
def test_lines_come_as_they_were_sent(lines: list[bytes]) -> None:
    reader = reading(b"".join(line + b"\n" for line in lines), 50)
    assert [reader.line(5) for _ in lines] == lines
    assert reader.line(5) == b""


def test_a_line_may_be_as_long_as_its_bound_and_no_longer() -> None:
    limit = PIECE * 3 + 1
    assert len(reading(b"x" * limit + b"\n", limit).line(5)) == limit
    with pytest.raises(TooLong):
        reading(b"x" * (limit + 1) + b"\n", limit).line(5)
    with pytest.raises(TooLong):
        reading(b"x" * limit * 3, limit).line(5)


def test_a_last_line_without_its_end_is_a_line() -> None:
    assert reading(b'{"call":"x"}', 50).line(5) == b'{"call":"x"}'


def test_the_time_is_that_of_the_whole_line() -> None:
    near, far = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05):
            far.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        LineReader(near, 1000).line(0.3)
    assert time.monotonic() - begin < 2
    stop.set()
    thread.join()
    near.close()
    far.close()


def test_a_path_that_is_too_long_for_a_socket_is_made_short(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    path = deep / "control.sock"
    assert len(os.fsencode(path)) > PATH_BYTES
    with reachable(path) as short, socket.socket(socket.AF_UNIX) as listener:
        assert len(os.fsencode(short)) <= PATH_BYTES
        listener.bind(str(short))
    assert path.is_socket()
    with reachable(Path("/tmp/x.sock")) as same:
        assert same == Path("/tmp/x.sock")
    with pytest.raises(FileNotFoundError), reachable(deep / ("f" * 10) / "control.sock"):
        pass


def test_requests_and_answers() -> None:
    data = msgspec.json.encode(Request("task.list"))
    assert msgspec.json.decode(data) == {"call": "task.list", "arguments": {}}
    assert msgspec.json.decode(b'{"result":null}', type=Answer).result is None
    assert msgspec.json.decode(b'{"item":0}', type=Answer).result is msgspec.UNSET
    for wrong in (b"{}", b'{"call":1}', b'{"call":"x","other":1}', b'{"call":"x","arguments":[]}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=Request)
