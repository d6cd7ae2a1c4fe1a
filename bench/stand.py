"""Parts that several benchmarks set up: events, servers, clients."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec

from deodar.columnar.envelope import split
from deodar.demo.stack import Ports, Stack, attempts, deodar
from deodar.events.builders import EventBuilder
from deodar.tls.certificates import self_signed
from deodar.tls.contexts import unverified_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.report import Line


PAGE = 10_000
_AGENT_ID = re.compile(rb'"AgentId": ?"[^"]+"')


@contextlib.contextmanager
def stack() -> Iterator[Stack]:
    """Give an empty stack on free ports in a temporary folder; what runs in it ends with it."""
    with tempfile.TemporaryDirectory(prefix="deodar-bench-") as folder:
        made = Stack(Path(folder), Ports(edr=0, core=0))
        with contextlib.closing(made):
            yield made


def settle(parts: Stack, limit: float = 180.0) -> None:
    """Wait until the agent has hashed what ran when it started: that is no cost of a load.

    Returns after `limit` seconds in any case: on a busy host there is always something.
    """
    before = -1.0
    for _ in attempts(limit, pause=5.0):
        told = json.loads(deodar("agent", "status", "--json", "--dir", parts.agent))["hashes"]
        now = told["processor_seconds"]
        if not told["waiting"] and now - before < 0.05:
            return
        before = now


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


class Reader:
    """An external system that the EDR server has accepted; reads its events API from the start."""

    def __init__(self, parts: Stack, url: str) -> None:
        identity = uuid.uuid4()
        self._address = f"{url}/kata/events_api/v1/{identity}/events"
        self._client = httpx.Client(verify=unverified_client(self_signed("bench")), timeout=60)
        assert self._client.get(self._address).status_code == 401
        deodar("edr", "external-systems", "accept", identity, "--dir", parts.edr)
        self._query: dict[str, str | int] = {"max_events": PAGE, "max_timeout": "PT0S"}

    def page(self, **first: str) -> list[bytes]:
        """Return the next events as JSON, [] at the end; `first` goes with the first request."""
        answer = self._client.get(self._address, params=self._query | first).raise_for_status()
        found = split(answer.content)
        self._query["continuation_token"] = found.token or ""
        return found.events

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def rate(count: int, began: float) -> float:
    """Return events per second since `began` on the monotonic clock."""
    return count / (time.monotonic() - began)


def give(*lines: Line) -> None:
    """Print measurements for the caller of the benchmark."""
    for line in lines:
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.flush()
