from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enrich.network_events import error_name
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.sensors.acts import DnsQuery, RawSocket
from deodar.agent.sensors.base import Connection, Listen, ProcessKey, Record
from deodar.events.codec import check
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

NOW = 1_800_000_000_123_456_789
NOBODY = ProcessKey(0, 0)
V4 = socket.AF_INET


def own_key() -> ProcessKey:
    live = live_process(os.getpid())
    assert live is not None
    return live.key


def connection(**changes: Any) -> Connection:
    values: dict[str, Any] = {
        "direction": "outbound", "family": V4, "protocol": 6, "local_ip": "192.0.2.5",
        "local_port": 40000, "remote_ip": "192.0.2.1", "remote_port": 443,
    } | changes  # fmt: skip
    return Connection(NOW, values.pop("key", own_key()), **values)


def records() -> list[Record]:
    return [
        connection(),
        connection(established=False, error=errno.ENETUNREACH),
        Listen(NOW, own_key(), "::", 53, 17),
        RawSocket(NOW, own_key(), 17, 3, 3),
        DnsQuery(
            NOW, own_key(), 17, "192.0.2.53", 53, 7, "a.test", "A", "NOERROR", ("A 192.0.2.1",)
        ),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda record: type(record).__name__)
def test_every_event_fits_the_vocabulary(context: Context, record: Record) -> None:
    event = event_of(context, record)
    assert check(event) == []
    assert set(event) <= set(VOCABULARY.types[event["EventType"]].fields)
    assert event["SystemPid"] == os.getpid()


@pytest.mark.parametrize(("direction", "number"), [("outbound", 1), ("inbound", 0)])
def test_connection_tells_both_sides(context: Context, direction: Any, number: int) -> None:
    event = event_of(context, connection(direction=direction))
    assert (event["Direction"], event["Protocol"]) == (number, 6)
    assert (event["LocalIp"], event["LocalPort"]) == ("192.0.2.5", 40000)
    assert (event["RemoteIp"], event["RemotePort"]) == ("192.0.2.1", 443)
    assert event["ConnectionResult"] == "established"
    assert "ConnectionError" not in event


def test_connection_of_nobody_known_has_the_sockets_owner(context: Context) -> None:
    event = event_of(context, connection(key=NOBODY, uid=1))
    assert event["UserName"] == "daemon"
    assert "SystemPid" not in event


def test_connection_that_failed_says_why_if_that_is_known(context: Context) -> None:
    event = event_of(context, connection(established=False, error=errno.ECONNREFUSED))
    assert (event["ConnectionResult"], event["ConnectionError"]) == ("failed", "ECONNREFUSED")
    event = event_of(context, connection(established=False))
    assert event["ConnectionResult"] == "failed"
    assert "ConnectionError" not in event
    assert error_name(99999) == "99999"


@pytest.mark.parametrize("protocol", [17, 136])
def test_datagrams_make_no_connection(context: Context, protocol: int) -> None:
    event = event_of(context, connection(protocol=protocol))
    assert event["ConnectionResult"] == "datagram"
    event = event_of(context, connection(protocol=protocol, established=False))
    assert event["ConnectionResult"] == "failed"


def test_a_sender_that_is_not_known_is_left_out(context: Context) -> None:
    unknown = connection(protocol=17, direction="inbound", remote_ip="0.0.0.0", remote_port=0)
    event = event_of(context, unknown)
    assert "RemoteIp" not in event
    assert event["LocalPort"] == 40000


@pytest.mark.parametrize(
    ("family", "kind", "names"),
    [
        (2, 3, ("AF_INET", "SOCK_RAW")),
        (17, 2, ("AF_PACKET", "SOCK_DGRAM")),
        (17, 10, ("AF_PACKET", "SOCK_PACKET")),
        (31, 3, ("AF_BLUETOOTH", "SOCK_RAW")),
        (99, 9, ("99", "9")),
    ],
)
def test_raw_sockets_have_names(
    context: Context, family: int, kind: int, names: tuple[str, str]
) -> None:
    event = event_of(context, RawSocket(NOW, own_key(), family, kind, 1))
    assert (event["SocketFamily"], event["SocketType"]) == names
    assert event["Protocol"] == 1


def test_dns_tells_question_and_answers(context: Context) -> None:
    answers = ("CNAME b.test", "A 192.0.2.1")
    query = DnsQuery(NOW, own_key(), 6, "::1", 53, 7, "a.test", "A", "NOERROR", answers)
    event = event_of(context, query)
    assert (event["DnsQuery"], event["DnsType"], event["DnsId"]) == ("a.test", "A", 7)
    assert event["DnsAnswers"] == "CNAME b.test, A 192.0.2.1"
    assert (event["DnsResponseCode"], event["RemoteIp"], event["RemotePort"]) == (
        "NOERROR",
        "::1",
        53,
    )
    assert (event["Protocol"], event["Direction"]) == (6, 1)


def test_dns_without_an_answer_has_none(context: Context) -> None:
    event = event_of(context, DnsQuery(NOW, own_key(), 17, "::1", 53, 7, "a.test", "A"))
    assert not {"DnsResponseCode", "DnsAnswers"} & set(event)
