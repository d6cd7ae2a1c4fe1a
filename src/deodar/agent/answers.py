"""What the EDR server's answers mean, and what can be wrong with a server.

An answer may come from anything that stands in between: the words of a portal or a proxy never
pass for a receipt.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeVar

import msgspec

from deodar.agent.errors import AgentError

PARTIAL = frozenset({409})
TOO_LARGE = frozenset({413})
REJECTED = TOO_LARGE | {400, 415, 422}
WRONG_SERVER = frozenset({404, 405})
LONGEST_WORDS = 200

_T = TypeVar("_T")


class Trouble(Enum):
    """A kind of fault, the more important the higher."""

    WRONG_ANSWER = 1
    UNREACHABLE = 2
    REFUSED = 3
    CERTIFICATE = 4

    @property
    def event(self) -> str:
        """The agent's own event that tells of it."""
        return _EVENTS.get(self, "ServerUnavailable")


_EVENTS = {Trouble.REFUSED: "ServerRefused", Trouble.CERTIFICATE: "CertificateProblem"}


class Fault(NamedTuple):
    """What is wrong with a server."""

    trouble: Trouble
    text: str
    """What is wrong and what to do, for people."""


class NoAnswer(AgentError):  # noqa: N818 - it says what happened
    """A request came to nothing; the text says why, for people."""

    def __init__(
        self, text: str, trouble: Trouble = Trouble.UNREACHABLE, *, timed_out: bool = False
    ) -> None:
        """`timed_out` says that a server was there, but the request took too long."""
        super().__init__(text)
        self.fault = Fault(trouble, text)
        self.timed_out = timed_out


class Answer(NamedTuple):
    """An answer of the server, as far as it was read."""

    status: int
    body: bytes = b""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""


class Receipt(msgspec.Struct, frozen=True):
    """What the server says about a packet that it has."""

    packet: int
    events: int = 0
    dead: int = 0
    duplicate: bool = False


class _Committed(msgspec.Struct, frozen=True):
    committed: int


def read_receipt(answer: Answer, packet: int) -> Receipt | Fault:
    """Return the receipt for `packet`, or what is wrong with an answer that is none."""
    receipt = decode(answer.body, Receipt)
    if isinstance(receipt, str):
        text = f"the answer is no receipt ({receipt}); is a proxy or a portal in between?"
        return Fault(Trouble.WRONG_ANSWER, text)
    if receipt.packet != packet:
        text = f"the server confirmed packet {receipt.packet} in place of {packet}"
        return Fault(Trouble.WRONG_ANSWER, text)
    return receipt


def read_committed(answer: Answer) -> int | None:
    """Return up to which packet the server has them, as it says with HTTP 409."""
    committed = decode(answer.body, _Committed)
    return None if isinstance(committed, str) else committed.committed


def fault_of(answer: Answer) -> Fault:
    """Return what is wrong with the server, or with this agent, by an answer that is no success."""
    status = answer.status
    if status == 401:
        return Fault(
            Trouble.REFUSED,
            f"the server asks for a client certificate (HTTP 401{said(answer)}); add this agent's "
            "with: deodar agent certificate client add, and set UseClientPinnedCertificate=Yes",
        )
    if status == 403:
        return Fault(
            Trouble.REFUSED,
            f"the server does not accept this agent (HTTP 403{said(answer)}); enrol it again "
            "with: deodar agent enroll --force",
        )
    if status in WRONG_SERVER:
        text = f"the server does not know agents (HTTP {status}); check its address and port"
    elif 300 <= status < 400:
        text = f"the server points elsewhere (HTTP {status}); is a proxy or a portal in between?"
    elif status == 200:
        text = "the answer cannot be understood; is a proxy or a portal in between?"
    else:
        text = f"the server answered HTTP {status}{said(answer)}"
    return Fault(Trouble.WRONG_ANSWER, text)


def said(answer: Answer) -> str:
    """Return « : its words» when the body is an error of our server, else nothing."""
    value = decode(answer.body, dict[str, object])
    words = "" if isinstance(value, str) else str(value.get("error") or "")
    printable = "".join(sign if sign.isprintable() else " " for sign in words[:LONGEST_WORDS])
    return f": {printable}" if printable else ""


def decode(body: bytes, kind: type[_T]) -> _T | str:
    """Return JSON from outside as `kind`, or what is wrong with it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    except RecursionError:
        return "it is nested too deeply"
