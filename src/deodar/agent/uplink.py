"""What to do after each answer of the server: the uplink as a state machine without I/O.

The driver tells it what happened (`answered`, `failed`) and does what it says: go on, wait, put a
packet aside. Packets go one after another, in order; one that the server will never take goes
aside, so that it cannot hold up those behind it. The server recognises a packet that it has
already, so that a lost answer is cured by sending again.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import NamedTuple

import msgspec

BACKOFF_FIRST = 0.5
BACKOFF_LIMIT = 60.0
REFUSED_WAIT = 60.0
LONGEST_RETRY_AFTER = 300.0
REJECTIONS = 3
"""How often the server may call one packet wrong before it goes aside."""

UNKNOWN_AGENT = frozenset({401, 403})
TOO_LARGE = frozenset({413})
WRONG_PACKET = frozenset({400, 415, 422})
WRONG_SERVER = frozenset({404, 405})


class State(Enum):
    """How the uplink fares, for people."""

    STARTING = "starting"
    CONNECTED = "connected"
    RETRYING = "retrying"
    REFUSED = "refused"


class Answer(NamedTuple):
    """An answer of the server, as far as it was read."""

    status: int
    body: bytes = b""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""


class Delivered(NamedTuple):
    """The server has the packet: acknowledge it and go on."""

    number: int
    dead: int
    """Events of it that the server could not use; it keeps them for its administrator."""
    duplicate: bool


class Retry(NamedTuple):
    """Wait, then send the same packet again."""

    seconds: float


class SetAside(NamedTuple):
    """Put the packet into the folder of dead packets, acknowledge it and go on."""

    number: int
    reason: str


Verdict = Delivered | Retry | SetAside


class _Receipt(msgspec.Struct):
    packet: int
    events: int = 0
    dead: int = 0
    duplicate: bool = False


class Uplink:
    """The state of one agent's way to its server."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads agents in time, no secret
        self._failures = 0
        self._rejections = 0
        self.state = State.STARTING
        self.problem = ""
        """What is wrong and what to do, for people; "" while all is well."""

    def answered(self, number: int, answer: Answer) -> Verdict:
        """Return what to do after the server answered to packet `number`."""
        if answer.status == 200:
            return self._received(number, answer)
        if answer.status in UNKNOWN_AGENT:
            self._set(State.REFUSED, _unknown_agent(answer))
            asked = min(answer.retry_after or 0, LONGEST_RETRY_AFTER)
            return Retry(self._spread(max(REFUSED_WAIT, asked)))
        if answer.status in TOO_LARGE or answer.status in WRONG_PACKET:
            return self._rejected(number, answer)
        if answer.status in WRONG_SERVER:
            problem = f"the server does not know agents (HTTP {answer.status}); check its address"
            return self._retry(problem)
        return self._retry(f"the server answered HTTP {answer.status}", answer.retry_after)

    def failed(self, reason: str) -> Retry:
        """Return how long to wait after no answer came: a connection error, a time-out."""
        return self._retry(f"the server could not be reached: {reason}")

    def greeted(self, answer: Answer) -> None:
        """Note the answer to a greeting, which is sent when there are no packets."""
        if answer.status == 200:
            self._set(State.CONNECTED, "")
        elif answer.status in UNKNOWN_AGENT:
            self._set(State.REFUSED, _unknown_agent(answer))
        else:
            self._set(State.RETRYING, f"the server answered HTTP {answer.status}")

    def _received(self, number: int, answer: Answer) -> Verdict:
        try:
            receipt = msgspec.json.decode(answer.body, type=_Receipt)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._retry(f"the answer is no receipt ({error}); is a proxy in between?")
        if receipt.packet != number:
            problem = f"the server confirmed packet {receipt.packet} in place of {number}"
            return self._retry(problem)
        self._failures = self._rejections = 0
        self._set(State.CONNECTED, "")
        return Delivered(number, receipt.dead, receipt.duplicate)

    def _rejected(self, number: int, answer: Answer) -> Verdict:
        self._rejections += 1
        reason = f"the server rejected the packet with HTTP {answer.status}{_said(answer)}"
        if answer.status not in TOO_LARGE and self._rejections < REJECTIONS:
            return self._retry(reason)
        self._failures = self._rejections = 0
        return SetAside(number, reason)

    def _retry(self, problem: str, retry_after: float | None = None) -> Retry:
        self._set(State.RETRYING, problem)
        longest = min(BACKOFF_FIRST * 2 ** min(self._failures, 16), BACKOFF_LIMIT)
        self._failures += 1
        if retry_after is not None:
            return Retry(self._spread(min(max(retry_after, 0.1), LONGEST_RETRY_AFTER)))
        return Retry(longest * self._rng.uniform(0.5, 1.0))

    def _spread(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1.0, 1.2)

    def _set(self, state: State, problem: str) -> None:
        self.state = state
        self.problem = problem


def _unknown_agent(answer: Answer) -> str:
    return (
        f"the server does not accept this agent (HTTP {answer.status}{_said(answer)}); enrol it "
        "again with: deodar agent enroll --force"
    )


def _said(answer: Answer) -> str:
    """Return « (its words)» when the body is an error of our server, else nothing."""
    try:
        words = msgspec.json.decode(answer.body, type=dict[str, object]).get("error", "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f": {str(words)[:200]}" if words else ""
