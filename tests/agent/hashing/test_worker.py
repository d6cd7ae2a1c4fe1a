from __future__ import annotations

import hashlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from deodar.agent.hashing import wire, worker
from deodar.agent.hashing.measures import TooCostly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.agent.hashing.opener import Opened


@pytest.fixture
def lane() -> Iterator[socket.socket]:
    """Return the agent's end of a lane that digests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=worker.serve, args=(theirs, worker.digest_answer))
    thread.start()
    ours.settimeout(20)
    yield ours
    ours.close()
    thread.join(20)
    assert not thread.is_alive()  # the end of a lane is the end of its thread
    theirs.close()


def request(opened: Opened) -> bytes:
    found = opened.found
    return wire.REQUEST.pack(found.ino, found.size, found.mtime_ns, found.ctime_ns)


def test_request_has_its_answer(lane: socket.socket, opened: Callable[[bytes], Opened]) -> None:
    spent = 0
    for content in (b"abab", b"", b"second"):
        file = opened(content)
        socket.send_fds(lane, [request(file)], [file.descriptor])
        answer = lane.recv(wire.LARGEST)
        outcome, now = wire.ANSWER.unpack_from(answer)
        assert outcome == wire.DONE
        assert now >= spent
        spent = now
        _, md5, sha256 = wire.DIGESTS.unpack(answer[wire.ANSWER.size :])
        assert md5 == hashlib.md5(content).digest()
        assert sha256 == hashlib.sha256(content).digest()


def test_file_that_is_written_to_has_no_result(opened: Callable[[bytes], Opened]) -> None:
    file = opened(b"before")

    def work(descriptor: int, size: int) -> bytes:
        os.utime(descriptor, ns=(1, 1))
        return b"result"

    assert worker.answer(file.descriptor, request(file), work) == (wire.CHANGED, b"")


@pytest.mark.parametrize(
    ("error", "outcome"), [(OSError(5, "EIO"), wire.UNREADABLE), (TooCostly(), wire.TOO_COSTLY)]
)
def test_failure_is_an_answer_too(
    error: Exception, outcome: int, opened: Callable[[bytes], Opened]
) -> None:
    def work(descriptor: int, size: int) -> bytes:
        raise error

    file = opened(b"content")
    assert worker.answer(file.descriptor, request(file), work) == (outcome, b"")


def test_both_lanes_find_what_they_are_for(opened: Callable[[bytes], Opened]) -> None:
    file = opened(b"abab")
    bits, md5, _ = wire.DIGESTS.unpack(worker.digest_answer(file.descriptor, 4))
    assert (bits, md5) == (1000, hashlib.md5(b"abab").digest())
    assert worker.fuzzy_answer(file.descriptor, 4) == b"3:uu:uu"
