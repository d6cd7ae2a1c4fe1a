"""Parts that several benchmarks set up: events, servers, clients."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deodar.demo.stack import Ports, Stack
from deodar.events.builders import EventBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.report import Line


_AGENT_ID = re.compile(rb'"AgentId": ?"[^"]+"')


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    """Give an empty stack on free ports in a temporary folder; what runs in it ends with it."""
    with tempfile.TemporaryDirectory(prefix="deodar-bench-") as folder:
        made = Stack(Path(folder), Ports(edr=0, core=0))
        with contextlib.closing(made):
            yield made


def chunks(count: int, size: int) -> Iterator[bytes]:
    """Give `count` events as NDJSON, `size` in a piece; the same events on every call."""
    for number in range(count // size):
        yield EventBuilder(number).ndjson(size)


def write_events(path: Path, count: int, agent_id: str = "", size: int = 20_000) -> Path:
    """Write `count` events into a file as NDJSON and return its path.

    They bear `agent_id`, if given, as those do that an agent makes itself.
    """
    mark = f'"AgentId":"{agent_id}"'.encode()
    with path.open("wb") as file:
        for piece in chunks(count, size):
            file.write(_AGENT_ID.sub(mark, piece) if agent_id else piece)
    return path


def rate(count: int, began: float) -> float:
    """Return events per second since `began` on the monotonic clock."""
    return count / (time.monotonic() - began)


def give(*lines: Line) -> None:
    """Print measurements for the caller of the benchmark."""
    for line in lines:
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.flush()
