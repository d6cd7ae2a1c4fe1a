"""The hash process: answers requests on two sockets until they end. Started by `process`.

One thread a lane, so that a quick digest does not wait for a slow fuzzy hash. The fuzzy lane is the
main thread's, whose work a signal can bound.
"""

from __future__ import annotations

import _socket
import _thread
import os
import signal
import struct
import sys
import time

from deodar.agent.hashing import confine, wire
from deodar.agent.hashing.measures import TooCostly, digests, entropy, fuzzy

TYPE_CHECKING = False  # the name that type checkers know; typing itself is not loaded here
if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[int, int], bytes]

SWITCH = 0.0005
"""Seconds after which the fuzzy hash lets the other thread work."""
STACK = 256 * 1024
_FD = struct.Struct("i")


def main() -> None:
    """Give up rights, then answer until the agent is gone."""
    parent = int(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):  # they mean the agent, which ends this in time
        signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH)
    quick, slow = (_lane(number) for number in wire.LANES)
    confine.give_up_rights(wire.FIRST_DESCRIPTOR + len(wire.LANES))
    confine.end_with_parent(parent)
    _thread.stack_size(STACK)
    _thread.start_new_thread(_serve_quick, (quick,))
    confine.give_up_system_calls()
    quick.send(wire.HELLO)
    serve(slow, fuzzy_answer)


def serve(lane: _socket.socket, work: Work) -> None:
    """Answer the requests of one lane with what `work` returns, until the other side is gone."""
    room = _socket.CMSG_SPACE(_FD.size)
    while True:
        data, rights, _, _ = lane.recvmsg(wire.LARGEST, room, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        descriptor = _FD.unpack(rights[0][2])[0]
        try:
            outcome, result = answer(descriptor, data, work)
        finally:
            os.close(descriptor)
        lane.send(wire.ANSWER.pack(outcome, time.process_time_ns()) + result)


def answer(descriptor: int, request: bytes, work: Work) -> tuple[int, bytes]:
    """Return the outcome of one request and its result."""
    inode, size, mtime, ctime = wire.REQUEST.unpack(request)
    try:
        result = work(descriptor, size)
        now = os.fstat(descriptor)
    except OSError:
        return wire.UNREADABLE, b""
    except TooCostly:
        return wire.TOO_COSTLY, b""
    if (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (inode, size, mtime, ctime):
        return wire.CHANGED, b""
    return wire.DONE, result


def digest_answer(descriptor: int, size: int) -> bytes:
    """Return entropy and digests as they are sent."""
    md5, sha256 = digests(descriptor)
    return wire.DIGESTS.pack(entropy(descriptor, size), md5, sha256)


def fuzzy_answer(descriptor: int, size: int) -> bytes:
    """Return the fuzzy hash as it is sent."""
    return fuzzy(descriptor, size).encode("ascii")


def _serve_quick(lane: _socket.socket) -> None:
    try:
        serve(lane, digest_answer)
    except BaseException:  # noqa: BLE001 - told, and then the process ends
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)  # the end of one lane is the end of the process


def _lane(number: int) -> _socket.socket:
    return _socket.socket(fileno=wire.FIRST_DESCRIPTOR + number)
