from __future__ import annotations

import time

import msgspec
import pytest
from tests.siem.pipeline.enrichment.name_server import free_port, name_server, needs_dnsmasq
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.columnar.values import FAILED
from deodar.siem.pipeline.enrichment import dns_names
from deodar.siem.pipeline.enrichment.dns_names import PAUSE_SECONDS, Dns, DnsSettings
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.frame import frame_of

REVERSE = {"field": "SourceAddress", "target": "SourceHostName"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with name_server(tmp_path_factory.mktemp("dns")) as found:
        yield f"{found.host}:{found.port}"


def opened(clock=time.monotonic, **settings) -> Dns:
    table = {"name": "d", "kind": "dns", **REVERSE, **settings}
    return Dns(msgspec.convert(table, DnsSettings), clock)


def counted(names: Dns) -> dict[str, int]:
    return {name: count for name, count in names.counters().items() if count}


@needs_dnsmasq
def test_addresses_get_their_names(server):
    events = frame_of(
        [{"SourceAddress": f"192.0.2.{n}"} for n in (7, 8, 9)] + [{"SourceAddress": "x"}]
    )
    found, written, errors = enriched("dns", events=events, servers=[server], timeout=10, **REVERSE)
    assert column(found, "SourceHostName") == ["web.example", "mail.example", "", ""]
    assert (written.tolist(), errors) == ([True, True, False, False], 0)


@needs_dnsmasq
def test_names_get_their_addresses_of_either_family(server):
    forward = {"field": "SourceHostName", "target": "SourceAddress", "direction": "forward"}
    for family, expected in (("ipv4", "192.0.2.7"), ("ipv6", "2001:db8::7")):
        events = frame_of([{"SourceHostName": name} for name in ("Web.example.", "a b", "")])
        found, _, errors = enriched(
            "dns", events=events, servers=[server], timeout=10, family=family, **forward
        )
        assert column(found, "SourceAddress") == [expected, "", ""]
        assert errors == 0


@needs_dnsmasq
def test_answers_are_kept_for_their_time_and_in_bounded_number(server):
    clock = Clock()
    names = opened(clock, servers=[server], timeout=10, cache_size=2, cache_seconds=100)
    keys = [("192.0.2.7",), ("192.0.2.8",)]
    expected = [("web.example",), ("mail.example",)]
    assert names.answers(keys) == expected
    assert names.answers(keys) == expected
    assert counted(names) == {"from_cache": 2, "found": 2, "cached": 2}
    clock.now += 101
    assert names.answers(keys[:1]) == expected[:1]
    names.answers([("192.0.2.9",)])
    found = names.counters()
    assert (found["found"], found["not_found"], found["cached"]) == (3, 1, 2)


@needs_dnsmasq
def test_no_more_are_asked_in_one_batch_than_is_set(server):
    names = opened(servers=[server], timeout=10, max_queries=1)
    assert names.answers([("192.0.2.7",), ("192.0.2.8",)]) == [("web.example",), FAILED]
    assert names.counters()["skipped"] == 1


def test_dead_servers_cost_one_timeout_and_then_a_pause():
    clock = Clock()
    names = opened(clock, servers=[f"127.0.0.1:{free_port()}"], timeout=0.2)
    began = time.monotonic()
    assert names.answers([("192.0.2.7",)]) == [FAILED]
    assert time.monotonic() - began < 2.0
    assert names.answers([("192.0.2.8",)]) == [FAILED]
    assert counted(names) == {"unanswered": 1, "cached": 1, "paused": 1}
    clock.now += PAUSE_SECONDS
    names.answers([("192.0.2.8",)])
    assert names.counters()["unanswered"] == 2


def test_without_servers_those_of_the_host_are_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(dns_names, "RESOLV_CONF", tmp_path / "resolv.conf")
    with pytest.raises(RuleError, match="cannot be read"):
        opened()
    (tmp_path / "resolv.conf").write_text("search x\nnameserver\n")
    with pytest.raises(RuleError, match="names none"):
        opened()
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    assert opened().targets[0].name == "SourceHostName"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"servers": ["dns.example"]}, "servers: 'dns.example' is no address of a server"),
        ({"servers": ["10.0.0.53:0"]}, "is no address of a server"),
        ({"field": "SourcePort"}, "field: SourcePort holds no text"),
        ({"target": "SourcePort"}, "target: SourcePort holds no text"),
        ({"timeout": 0}, "timeout"),
        ({"direction": "back"}, "back"),
    ],
)
def test_what_cannot_be_used_is_told(changes, reason):
    with pytest.raises(RuleError, match=reason):
        enriched("dns", **{**REVERSE, **changes})


def test_a_server_may_have_a_port_and_an_ipv6_address():
    assert opened(servers=["10.0.0.53", "10.0.0.53:5353", "::1", "[::1]:5353"])
