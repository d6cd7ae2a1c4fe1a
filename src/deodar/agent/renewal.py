"""Renewing the agent's own certificate, for a new key, while the present one is still good.

It is due when a third of its time is left, by the server's clock, which each synchronization tells:
a host whose clock is off renews in time all the same. The key is made, and the new certificate
looked into, by a process that ends with it: the agent has no library for that in its memory. If
the answer is lost the present certificate goes on to be good, and the next try gets another one.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.answers import Answer, NoAnswer, decode, said
from deodar.agent.certificate_facts import CLIENT, CertificateFacts, moment
from deodar.agent.errors import CertificateRefused
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from deodar.agent.certificates import Certificates

    Ask = Callable[[str, bytes, dict[str, str]], Answer]

PATH = "/agent/v1/renew"
SHARE = 1 / 3
"""Of a certificate's time that is left when it is renewed."""
TRY_EVERY = 3600.0
HELPER_SECONDS = 30.0
LONGEST_LINE = 64 << 10
HELPER = ("-P", "-m", "deodar.agent.renewal_helper")

_log = logger("agent.renewal")


class Issued(msgspec.Struct, frozen=True):
    """What the server answers."""

    certificate: str


class Proposal(msgspec.Struct, frozen=True):
    """What the helper says first: a certificate request."""

    request: str


class Pair(msgspec.Struct, frozen=True):
    """What it says then: key and certificate as one text and what is in it, or what is wrong."""

    pem: str = ""
    facts: dict[str, Any] = {}
    error: str = ""


class Renewal:
    """Renews the certificate when it is due. For the uplink's thread; `want` is for any."""

    def __init__(
        self, certificates: Certificates, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._certificates = certificates
        self._clock = clock
        self._next_try = 0.0
        self._wanted = threading.Event()
        self.is_replacing = False
        """Whether it puts a certificate in place just now."""

    def want(self) -> None:
        """Renew with the next synchronization, whether it is due or not."""
        self._wanted.set()

    def is_due(self, server_time: float) -> bool:
        """Whether to renew now; `server_time` is the server's, in seconds since the epoch."""
        if self._wanted.is_set():
            return True
        if self._clock() < self._next_try:
            return False
        facts = self._certificates.describe(CLIENT)
        begin = moment(facts.not_before) if facts else None
        end = moment(facts.not_after) if facts else None
        if begin is None or end is None:
            return False  # put there by hand: nobody knows
        return end - server_time < (end - begin) * SHARE

    def renew(self, ask: Ask) -> str:
        """Get a new certificate and put it in place; returns what went wrong, "" for nothing.

        `ask` sends a request to the server and may raise NoAnswer.
        """
        self._wanted.clear()
        self._next_try = self._clock() + TRY_EVERY
        try:
            pair = _new_pair(ask)
            facts = msgspec.convert(pair.facts, CertificateFacts)
            self.is_replacing = True
            self._certificates.set(CLIENT, pair.pem, facts)
        except (DeodarError, NoAnswer, OSError, msgspec.ValidationError) as error:
            _log.warning("the agent's certificate was not renewed", reason=str(error))
            return str(error)
        finally:
            self.is_replacing = False
        _log.info("the agent's certificate was renewed", until=facts.not_after)
        return ""


def _new_pair(ask: Ask) -> Pair:
    """Let the helper make a key, the server issue a certificate, and the helper look into it."""
    import subprocess  # noqa: PLC0415 - twice a year

    with subprocess.Popen(
        [sys.executable, *HELPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as helper:
        limit = threading.Timer(HELPER_SECONDS, helper.kill)
        limit.start()
        try:
            proposal = _said(helper, Proposal)
            body = msgspec.json.encode({"request": proposal.request})
            answer = ask(PATH, body, {"Content-Type": "application/json"})
            issued = decode(answer.body, Issued)
            if answer.status != 200 or isinstance(issued, str):
                raise CertificateRefused(
                    f"the server did not issue a certificate (HTTP {answer.status}{said(answer)})"
                )
            _tell(helper, issued)
            pair: Pair = _said(helper, Pair)
        finally:
            limit.cancel()
            helper.kill()
    if pair.error:
        raise CertificateRefused(f"the certificate that the server issued: {pair.error}")
    return pair


def _said(helper: subprocess.Popen[bytes], kind: type[Any]) -> Any:
    assert helper.stdout is not None  # noqa: S101  # it is a pipe
    found = decode(helper.stdout.readline(LONGEST_LINE), kind)
    if isinstance(found, str):
        raise CertificateRefused(f"the process that makes keys failed: {found}")
    return found


def _tell(helper: subprocess.Popen[bytes], issued: Issued) -> None:
    assert helper.stdin is not None  # noqa: S101
    helper.stdin.write(msgspec.json.encode(issued) + b"\n")
    helper.stdin.flush()
