"""The process that reads foreign files and rules: ``python -m deodar.edr.scanning.worker``.

It can open nothing itself: each file comes as an open descriptor over the socket that is its
standard input. Memory, files and core dumps are limited, root becomes nobody, and it ends with its
parent. Whatever a hostile file or rule does to it, the server starts another one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING

import msgspec
import yara_x

from deodar.edr.scanning.wire import LARGEST_PACKET, MOST_MATCHES, Ask, Match, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMORY = 1 << 30
"""Bytes of address space."""
NOBODY = 65534
_LEVELS = ("low", "medium", "high")
_TEXT = 200
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main() -> None:
    """Answer until the other side of the socket is closed."""
    confine()
    with socket.socket(fileno=os.dup(0)) as link:
        rules: yara_x.Rules | None = None
        while True:
            packet, files, _, _ = socket.recv_fds(link, LARGEST_PACKET, 1)
            if not packet:
                return
            ask = msgspec.json.decode(packet, type=Ask)
            data = _read(files[0])
            if ask.what == "rules":
                rules, reply = compiled(msgspec.json.decode(data, type=dict[str, str]))
            elif rules is None:
                reply = Reply(error="there are no rules")
            else:
                reply = scanned(rules, data, ask.seconds)
            del data
            link.send(msgspec.json.encode(reply))


def confine() -> None:
    """Give up what scanning does not take."""
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(what, (limit, limit))
    os.nice(10)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def compiled(texts: dict[str, str]) -> tuple[yara_x.Rules | None, Reply]:
    """Return the rules of these texts by name, and what to say of them."""
    compiler = yara_x.Compiler()
    compiler.enable_includes(False)  # they would read files
    try:
        for name, text in texts.items():
            compiler.new_namespace(name)
            compiler.add_source(text)
        rules = compiler.build()
    except (yara_x.CompileError, ValueError, MemoryError) as error:
        return None, Reply(error=str(error)[:8000] or type(error).__name__)
    count = sum(1 for _ in rules)
    return rules, Reply(rules=count)


def scanned(rules: yara_x.Rules, data: bytes, seconds: float) -> Reply:
    """Return what the rules find in some bytes within a time."""
    scanner = yara_x.Scanner(rules)
    scanner.set_timeout(max(1, round(seconds)))
    scanner.max_matches_per_pattern(1000)
    try:
        found = scanner.scan(data).matching_rules
    except yara_x.TimeoutError:
        return Reply(timed_out=True)
    except (yara_x.ScanError, MemoryError) as error:
        return Reply(error=str(error)[:_TEXT] or type(error).__name__)
    return Reply(matches=tuple(map(_match, found[:MOST_MATCHES])))


def _match(rule: yara_x.Rule) -> Match:
    return Match(
        rule.namespace[:_TEXT],
        rule.identifier[:_TEXT],
        tuple(tag[:_TEXT] for tag in rule.tags[:10]),
        _importance(rule.metadata),
    )


def _importance(metadata: Iterable[tuple[str, object]]) -> str:
    """Return what a rule says of how much it matters; "" if nothing that is known."""
    for name, value in metadata:
        if name.lower() in {"importance", "severity"} and str(value).lower() in _LEVELS:
            return str(value).lower()
    return ""


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as opened:  # a descriptor
        opened.seek(0)
        return opened.read()


if __name__ == "__main__":
    main()
