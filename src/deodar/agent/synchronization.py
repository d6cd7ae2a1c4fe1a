"""The synchronization with the EDR server: the agent's report, and what the server answers.

Every `SynchronizationPeriod` the agent tells the server how it stands, and gets the policy when it
has another version than the server's. Facts: the same poll of KESL's task KATAEDR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar import __version__
from deodar.agent.answers import Answer, Fault, Trouble, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/agent/v1/sync"
LARGEST_ANSWER = 4 << 20
"""Bytes; a policy with the most trusted programs that are allowed fits in."""


class SyncAnswer(msgspec.Struct, frozen=True):
    """What the server says."""

    server_id: str
    time_us: Annotated[int, msgspec.Meta(ge=0)]
    """The server's clock, µs since the epoch."""
    policy_version: Annotated[int, msgspec.Meta(ge=0)] = 0
    """0 for no policy."""
    policy: dict[str, Any] | None = None
    """Only when the version differs from the agent's."""


def report_body(agent_id: str, report: Mapping[str, Any], now_us: int, version: int) -> bytes:
    """Return the request's JSON: the agent's report with who sends it, when, and its policy."""
    head = {"agent_id": agent_id, "time_us": now_us, "version": __version__}
    return msgspec.json.encode({**head, **report, "policy_version": version})


def policy_version(report: Mapping[str, Any]) -> int:
    """Return the version of the policy that the agent follows; 0 for none."""
    return int(report.get("policy_version") or 0)


def read_answer(answer: Answer, version: int) -> SyncAnswer | Fault:
    """Return what the server answered to an agent with policy `version`, or what is wrong."""
    read = decode(answer.body, SyncAnswer)
    if isinstance(read, str):
        text = f"the answer to a synchronization cannot be understood ({read})"
        return Fault(Trouble.WRONG_ANSWER, f"{text}; is a proxy or a portal in between?")
    if read.policy_version not in (0, version) and read.policy is None:
        text = f"the server names the policy {read.policy_version}, but did not send it"
        return Fault(Trouble.WRONG_ANSWER, text)
    return read


def clock_offset(answer: SyncAnswer, sent_us: int, received_us: int) -> float:
    """Return by how many seconds the server's clock is ahead of this host's."""
    return (answer.time_us - (sent_us + received_us) / 2) / 1e6
