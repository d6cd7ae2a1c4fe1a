"""Realistic sample events: for tests, for benchmarks, and for whoever tests a parser of their own.

The same seed gives the same events. Processes form trees whose members agree with one another (see
`deodar.events.process_tree`), and carry what Deodar's agent sends of them; types that it does not
send carry what KATA's would beside that. Programs, accounts and addresses are invented.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from deodar.events import recipes, samples
from deodar.events.codec import Event, encode
from deodar.events.process_tree import ProcessTree
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Mapping

START_US = 1_750_000_000_000_000
"""Time of the first event if no other is asked for: 2025-06-15 15:06:40 UTC."""

LINUX_MIX: Mapping[str, float] = {
    "process": 36,
    "process_terminate": 34,
    "process_fork": 4,
    "connection": 10,
    "filechange": 9,
    "process_interpretated_file_run": 2.5,
    "process_console_interactive_input": 1.5,
    "portlisten": 1,
    "windowsevent": 1,
    "threatdetect": 0.3,
    "threatprocessingresult": 0.3,
    "applock": 0.2,
    "telemetry_loss": 0.2,
    "agent_task_state": 0.1,
}
"""How often each type comes on a Linux endpoint, by weight."""

_MARKED = 0.01


class EventBuilder:
    """Makes events of one endpoint, one after another, with rising times."""

    def __init__(
        self,
        seed: int,
        host: str | None = None,
        *,
        start: int = START_US,
        mix: Mapping[str, float] = LINUX_MIX,
        complete: bool = False,
    ) -> None:
        """`start` is the time (µs) before the first event; `mix` weighs the types.

        `complete` events have every field that the vocabulary knows for their type, be it one that
        a server adds or that no agent sends; some of these fields are empty.
        """
        self._rng = random.Random(seed)  # noqa: S311  samples have to repeat, not to be secret
        self._bench = recipes.Bench(
            self._rng, ProcessTree(self._rng, start), start, complete=complete
        )
        self._types = [_canonical(name) for name in mix]
        self._weights = list(accumulate(mix.values()))
        self._linux = _linux_host(host or "linux-5.example.net", self._uuid())
        self._windows = _windows_host("desk-7.example.net", self._uuid())

    def event(self, event_type: str | None = None) -> Event:
        """Return the next event, of the given type or else of one drawn from the mix.

        Windows-only types come from a Windows endpoint; `windowsevent` comes from either. Raises
        ValueError if the vocabulary has no such type.
        """
        name = _canonical(event_type) if event_type else self._draw()
        bench = self._bench
        bench.now += self._rng.randrange(20, 4000)
        host, fields = self._make(name)
        event = {
            **host,
            "Id": self._uuid(),
            "Timestamp": bench.now,
            "EventType": name,
            **fields,
        }
        if bench.complete:
            event = _served(event)
        if self._rng.random() < _MARKED:
            event |= recipes.ioa(bench)
        return event

    def events(self, count: int) -> list[Event]:
        """Return the next `count` events of the mix."""
        return [self.event() for _ in range(count)]

    def ndjson(self, count: int) -> bytes:
        """Return the next `count` events of the mix as JSON lines."""
        return b"".join(encode(self.event()) + b"\n" for _ in range(count))

    def _draw(self) -> str:
        return self._rng.choices(self._types, cum_weights=self._weights)[0]

    def _make(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        if name in recipes.WINDOWS:
            return self._windows, recipes.WINDOWS[name](self._bench)
        if name == "windowsevent" and self._rng.random() < 0.3:
            return self._windows, recipes.windows_log(self._bench)
        return self._linux, recipes.LINUX[name](self._bench)

    def _uuid(self) -> str:
        bits = self._rng.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
        return samples.uuid_text(bits)


def _canonical(name: str) -> str:
    kind = VOCABULARY.type(name)
    if kind is None:
        raise ValueError(f"no event type is named {name!r}")
    return kind.name


def _linux_host(name: str, agent_id: str) -> dict[str, Any]:
    return {
        "HostName": name,
        "HostIp": "192.0.2.5",
        "OsFamily": "Linux",
        "OsName": "Debian GNU/Linux 12 (bookworm)",
        "OsVersion": "6.1.0-37-amd64",
        "AgentId": agent_id,
        "AgentVersion": "0.1.0",
        "SensorTier": "bpf",
    }


def _windows_host(name: str, agent_id: str) -> dict[str, Any]:
    return {
        "HostName": name,
        "HostIp": "192.0.2.77",
        "OsFamily": "Windows",
        "OsName": "Windows 11 Enterprise",
        "OsVersion": "10.0.22631",
        "OsType": "workstation",
        "AgentId": agent_id,
        "AgentVersion": "3.16.0",
        "AgentIp": "192.0.2.77",
        "AgentKdbTimestamp": START_US - 86_400_000_000,
        "AgentSwTimestamp": START_US - 864_000_000_000,
        "SchemaVersion": "1",
    }


def _served(event: Event) -> Event:
    """Return the event with the common fields that a server may add."""
    served = {
        "ReceivedTimestamp": event["Timestamp"] + 350_000,
        "IndexTimestamp": event["Timestamp"] + 900_000,
        "OsType": "server",
        "AgentIp": event["HostIp"],
        "SchemaVersion": "1",
    }
    return served | event
