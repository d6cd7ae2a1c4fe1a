"""The process that makes a key for the agent, and looks into the certificate issued for it.

It says a certificate request as a line of JSON, reads the certificate as one, says key,
certificate and what is in it as one, and ends. Nothing of it touches a disk.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.answers import decode
from deodar.agent.certificate_checks import facts_of_pem
from deodar.agent.certificate_facts import CLIENT
from deodar.agent.renewal import LONGEST_LINE, Issued, Pair, Proposal
from deodar.kit.errors import DeodarError
from deodar.tls.certificates import load_pair, make_request

if TYPE_CHECKING:
    from typing import BinaryIO

NAME = "deodar-agent"


def converse(said: BinaryIO, heard: BinaryIO) -> None:
    """Make a key, ask for its certificate, and say what came; an end of `heard` ends it."""
    request, key = make_request(NAME)
    _say(said, Proposal(request.decode()))
    line = heard.readline(LONGEST_LINE)
    if line:
        _say(said, _pair(key, line))


def _pair(key: bytes, line: bytes) -> Pair:
    issued = decode(line, Issued)
    if isinstance(issued, str):
        return Pair(error=issued)
    try:
        pair = load_pair(key + issued.certificate.encode())
        facts = facts_of_pem(CLIENT, pair.certificate)
    except (DeodarError, ValueError) as error:
        return Pair(error=str(error))
    return Pair(pem=pair.pem.decode(), facts=msgspec.to_builtins(facts))


def _say(said: BinaryIO, value: msgspec.Struct) -> None:
    said.write(msgspec.json.encode(value) + b"\n")
    said.flush()


if __name__ == "__main__":
    os.nice(10)
    converse(sys.stdout.buffer, sys.stdin.buffer)
