from __future__ import annotations

import io

import msgspec
import pytest

from deodar.agent.renewal import Issued, Pair, Proposal
from deodar.agent.renewal_helper import converse
from deodar.tls.certificates import issue_client, load_pair, make_authority, self_signed

AUTHORITY = make_authority("edr")


class Server:
    """Reads what the helper says, and answers with a certificate for its request."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.said = io.BytesIO()
        self._answer = answer

    def readline(self, _size: int) -> bytes:
        request = msgspec.json.decode(self.said.getvalue(), type=Proposal).request
        if self._answer is not None:
            return self._answer
        issued = issue_client(AUTHORITY, request.encode(), "agent-1").decode()
        return msgspec.json.encode(Issued(issued)) + b"\n"

    def pair(self) -> Pair:
        return msgspec.json.decode(self.said.getvalue().splitlines()[1], type=Pair)


def test_the_certificate_comes_back_with_its_key_and_facts():
    server = Server()
    converse(server.said, server)
    pair = server.pair()
    assert pair.error == ""
    assert load_pair(pair.pem.encode())
    assert (pair.facts["kind"], pair.facts["subject"]) == ("client", "CN=agent-1")


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (self_signed("other").certificate.decode(), "fits the key"),
        ("nonsense", "certificate"),
    ],
)
def test_a_certificate_that_is_not_for_the_key_is_told(certificate, words):
    server = Server(msgspec.json.encode(Issued(certificate)))
    converse(server.said, server)
    assert words in server.pair().error
    assert server.pair().pem == ""


@pytest.mark.parametrize("answer", [b"{}", b"nonsense", b"[" * 60_000])
def test_what_is_no_answer_is_told(answer):
    server = Server(answer)
    converse(server.said, server)
    assert server.pair().error


def test_without_an_answer_it_ends():
    server = Server(b"")
    converse(server.said, server)
    assert len(server.said.getvalue().splitlines()) == 1
