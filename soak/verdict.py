"""What the server has, held against what was done on the host."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from deodar.columnar.envelope import split
from deodar.demo.stack import deodar
from deodar.tls.certificates import self_signed
from deodar.tls.contexts import unverified_client
from soak.load import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PAGE = 10_000
RULES = frozenset({"throttle", "gate"})
"""Stages that hold events back by a setting; they never touch what is counted here."""


@dataclass
class Verdict:
    """The account of one run."""

    started: int = 0
    found: int = 0
    repeated: int = 0
    """Programs that were told of more than once."""
    out_of_order: int = 0
    while_blind: int = 0
    """Programs that were started while no agent ran."""
    missing: list[float] = field(default_factory=list)
    """When programs were started (monotonic) that an agent should have seen and never came."""
    counted: Counter[str] = field(default_factory=Counter)
    """Lost events that the agent told of, by stage and reason."""
    gaps: int = 0
    """Times that the agent told of its own absence."""
    events: int = 0
    repeated_ids: int = 0

    @property
    def explained(self) -> bool:
        """Whether every missing program is within what the agent counted, and none came twice."""
        told = sum(count for key, count in self.counted.items() if key.split(":")[0] not in RULES)
        return self.repeated == 0 and self.repeated_ids == 0 and len(self.missing) <= told


def read(url: str, edr: Path) -> Iterator[dict[str, Any]]:
    """Yield every event of the server's log, in its order, as an external system gets them."""
    identity = uuid.uuid4()
    address = f"{url}/kata/events_api/v1/{identity}/events"
    with httpx.Client(verify=unverified_client(self_signed("soak")), timeout=60) as client:
        client.get(address)
        deodar("edr", "external-systems", "accept", identity, "--dir", edr)
        query: dict[str, str | int] = {"max_events": PAGE, "max_timeout": "PT0S"}
        while True:
            page = split(client.get(address, params=query).raise_for_status().content)
            if not page.events:
                return
            yield from (json.loads(bytes(event)) for event in page.events)
            query["continuation_token"] = page.token or ""


def judge(
    events: Iterator[dict[str, Any]],
    ledger: Path,
    mark: str,
    blind: Sequence[tuple[float, float]],
) -> Verdict:
    """Hold the server's events against the ledger of programs that were started."""
    marked = re.compile(rf"{PROGRAM} {mark}(\d+)$")
    verdict = Verdict()
    seen: Counter[int] = Counter()
    ids: set[str] = set()
    last = 0
    for event in events:
        verdict.events += 1
        verdict.repeated_ids += event["Id"] in ids
        ids.add(event["Id"])
        kind = event["EventType"]
        if kind == "telemetry_loss":
            if event["LostStage"] == "agent":
                verdict.gaps += 1
            verdict.counted[f"{event['LostStage']}: {event['LostReason']}"] += event["LostCount"]
        elif kind == "process" and (found := marked.match(event.get("StartupParameters", ""))):
            number = int(found[1])
            seen[number] += 1
            verdict.out_of_order += number < last
            last = max(last, number)
    _settle(verdict, seen, ledger, blind)
    return verdict


def _settle(
    verdict: Verdict, seen: Counter[int], ledger: Path, blind: Sequence[tuple[float, float]]
) -> None:
    for line in ledger.read_text("ascii").splitlines():
        number, moment = line.split()
        verdict.started += 1
        if seen[int(number)]:
            verdict.found += 1
        elif any(begin <= float(moment) <= end for begin, end in blind):
            verdict.while_blind += 1
        else:
            verdict.missing.append(float(moment))
    verdict.repeated = sum(count - 1 for count in seen.values() if count > 1)
