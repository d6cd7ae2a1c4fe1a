"""Each decoder of the EDR server and the agent: any input is taken, or refused by its own error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from hypothesis import strategies as st

from deodar import kedrql
from deodar.agent.certificate_files import read_client, read_server
from deodar.agent.errors import CertificateRefused
from deodar.agent.renewal_helper import _pair
from deodar.edr import durations, events_query, policy_file, tokens, web
from deodar.edr.enrolment import EnrolmentRequest
from deodar.edr.errors import BadRequest, DurationError, TokenError
from deodar.edr.external_system import Caller, request_row
from deodar.edr.ingest import Origin, TooManyEvents, decode
from deodar.edr.log.schema import quoted
from deodar.edr.renewal import RenewalRequest
from deodar.edr.settings import EventsApi
from deodar.edr.synchronization import Report
from deodar.kedrql.errors import KedrqlError
from deodar.kit import body
from deodar.kit.body import BodyError
from deodar.tasks.errors import InvalidSetting
from deodar.tls import certificates, pem
from deodar.tls.errors import CertificateError

from .inputs import (
    DURATIONS,
    FILTERS,
    NOISE,
    NUMBERS,
    PACKED,
    PACKETS,
    TEXTS,
    bomb,
    documents,
    mutated,
)

KEY = b"k" * 32
TOKEN = tokens.seal(KEY, "siem", tokens.Token(bytes(16), bytes(16), 5, 6))
MOST = 1 << 16


def test_filters(fuzzer):
    def target(text: str) -> str:
        try:
            parsed = kedrql.parse(text)
            kedrql.to_sql(parsed, quoted)
            kedrql.predicate(parsed)({"FileName": "a", "FileSize": 1})
        except KedrqlError:
            return "filter"
        return ""

    tally = fuzzer.run("filters", FILTERS, target)
    assert tally.taken
    assert tally.refused


def test_tokens(fuzzer):
    texts = st.one_of(
        st.just(TOKEN), mutated(TOKEN.encode()).map(lambda data: data.decode("latin-1")), TEXTS
    )

    def target(text: str) -> str:
        try:
            tokens.unseal(KEY, "siem", text, bytes(16).__eq__)
        except TokenError as error:
            return error.reason[:20]
        assert text == TOKEN
        return ""

    tally = fuzzer.run("tokens", texts, target)
    assert tally.refused


def test_durations(fuzzer):
    def target(text: str) -> str:
        try:
            assert durations.parse(text) >= 0
        except DurationError as error:
            return f"column {error.column}"
        return ""

    tally = fuzzer.run("durations", DURATIONS, target)
    assert tally.refused


def test_parameters_of_the_events_api(fuzzer):
    names = st.sampled_from(["filter", "max_events", "max_timeout", "continuation_token", "x"])
    values = st.one_of(NUMBERS, TEXTS, st.just("PT5S"), st.just("%ff"))
    pairs = st.lists(st.tuples(names, values).map("=".join), max_size=8).map("&".join)
    tails = st.sampled_from([b"events", b"events=", b"events&x=1", b"events=?", b"event", b""])

    def target(given: tuple[bytes, str]) -> str:
        tail, query = given
        try:
            found = events_query.parameters(tail, query.encode())
            if found is None:
                return "path"
            asked = events_query.parse(found, EventsApi())
        except BadRequest:
            return "parameter"
        assert 1 <= asked.max_events <= 10_000
        assert 0 <= asked.timeout <= 300
        return ""

    tally = fuzzer.run("events parameters", st.tuples(tails, pairs), target)
    assert tally.taken
    assert tally.refused


def test_packets_of_events(fuzzer):
    def target(data: bytes) -> str:
        try:
            packet, dead = decode(Origin("s", 1, "a"), data, 10)
        except TooManyEvents:
            return "too many"
        lines = sum(bool(line.strip()) for line in data.split(b"\n"))
        assert (packet.events if packet else 0) + len(dead) == lines
        return "" if packet else "dead"

    tally = fuzzer.run("packets", PACKETS, target)
    assert tally.taken
    assert tally.refused


def test_packed_bodies(fuzzer):
    def target(given: tuple[str, bytes]) -> str:
        encoding, data = given
        try:
            assert len(body.decode(data, encoding, max_plain=MOST)) <= MOST
        except BodyError as error:
            return type(error).__name__
        return ""

    tally = fuzzer.run("packed bodies", PACKED, target)
    assert tally.refused


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_given_up_at_the_limit(fuzzer, encoding):
    packed = bomb(encoding, 512 << 20)
    assert len(packed) < 1 << 20

    def target(limit: int) -> str:
        with pytest.raises(body.BodyTooLarge):
            body.decode(packed, encoding, max_plain=limit)
        return "bomb"

    limits = st.sampled_from([1, 1000, 1 << 16, 1 << 20])
    assert fuzzer.run(f"bombs of {encoding}", limits, target).grown < 64 << 20


BODIES: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "synchronizations": (Report, {"agent_id": "a", "tasks": [], "status": {}, "time_us": 1}),
    "enrolments": (EnrolmentRequest, {"token": "t", "request": "r", "host": {"name": "h"}}),
    "renewals": (RenewalRequest, {"request": "r"}),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_of_agents(fuzzer, name):
    kind, shape = BODIES[name]

    def target(data: bytes) -> str:
        try:
            web.decode(data, kind)
        except BadRequest:
            return "body"
        return ""

    assert fuzzer.run(name, documents(shape), target).refused


def test_policies(fuzzer):
    shape = {"KATAEDR": {"RequestTimeout": 5}, "Application": {"UseProxy": True}}
    ini = st.text('[]KATAEDR=.\n0123456789item_#;"\\', max_size=300).map(str.encode)

    def target(data: bytes) -> str:
        try:
            policy_file.read(data, "file")
        except InvalidSetting:
            return "policy"
        return ""

    assert fuzzer.run("policies", st.one_of(documents(shape), ini), target).refused


@pytest.fixture(scope="module")
def pair() -> certificates.Pair:
    return certificates.self_signed("fuzz")


def test_certificates(fuzzer, pair):
    der = certificates.der(pair.certificate)
    authority = certificates.make_authority("edr")
    texts = st.one_of(mutated(der), mutated(pair.certificate))

    def target(data: bytes) -> str:
        row = request_row(Caller("siem", "192.0.2.1", data), "d")
        assert len(row["subject"]) <= 256
        try:
            pem.load_certificates(data)
            certificates.validity(data)
        except (CertificateError, ValueError):
            return "certificate"
        return ""

    assert authority
    assert fuzzer.run("certificates", texts, target).refused


def test_certificate_requests(fuzzer):
    authority = certificates.make_authority("edr")
    request, _ = certificates.make_request("x")

    def target(data: bytes) -> str:
        try:
            certificates.issue_client(authority, data, "agent")
        except CertificateError:
            return "request"
        return ""

    assert fuzzer.run("certificate requests", mutated(request), target).refused


def test_files_of_certificates(fuzzer, pair, tmp_path):
    key = pem.load_key(pair.key)
    (own,) = pem.load_certificates(pair.certificate)
    secret = BestAvailableEncryption(b"secret")
    pfx = pkcs12.serialize_key_and_certificates(b"x", key, own, None, secret)
    file = tmp_path / "file"

    def target(data: bytes) -> str:
        file.write_bytes(data)
        passwords = iter(["", "secret"])
        try:
            read_client(Path(file), lambda: next(passwords, None))
        except CertificateRefused:
            try:
                read_server(Path(file))
            except CertificateRefused:
                return "file"
        return ""

    inputs = st.one_of(mutated(pfx), mutated(pair.pem), NOISE)
    tally = fuzzer.run("certificate files, PFX", inputs, target)
    assert tally.refused


def test_issued_certificates(fuzzer, pair):
    _, key = certificates.make_request("x")
    shape = {"certificate": pair.certificate.decode(), "not_after_us": 1}

    def target(data: bytes) -> str:
        return "answer" if _pair(key, data).error else ""

    assert fuzzer.run("issued certificates", documents(shape), target).refused
