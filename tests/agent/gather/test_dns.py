from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.gather.dns import MOST_WAITING, PATIENCE, DnsQueries
from deodar.agent.sensors.acts import DnsMessage, DnsQuery
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY, OTHER = ProcessKey(7, 9), ProcessKey(8, 9)
NAME = b"\7example\3com\0"


def packet(flags: int, answers: int = 0, number: int = 5) -> bytes:
    head = struct.pack(">6H", number, flags, 1, answers, 0, 0) + NAME + b"\0\1\0\1"
    return head + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x50" * answers


def sent(number: int = 5, **changes: Any) -> DnsMessage:
    values = {"protocol": 17, "payload": packet(0x0100, number=number), "key": KEY} | changes
    return DnsMessage(100, direction="outbound", server_ip="192.0.2.53", server_port=53, **values)


def got(flags: int = 0x8180, answers: int = 1, **changes: Any) -> DnsMessage:
    values = {"protocol": 17, "payload": packet(flags, answers), "key": KEY} | changes
    return DnsMessage(200, direction="inbound", server_ip="192.0.2.53", server_port=53, **values)


def test_query_and_answer_make_one() -> None:
    queries = DnsQueries()
    assert list(queries.take(sent())) == []
    assert queries.waiting == 1
    (query,) = queries.take(got())
    assert query == DnsQuery(
        100, KEY, 17, "192.0.2.53", 53, 5, "example.com", "A", "NOERROR", ("A 192.0.2.80",)
    )
    assert queries.waiting == 0


def test_a_name_that_does_not_exist() -> None:
    queries = DnsQueries()
    queries.take(sent())
    (query,) = queries.take(got(0x8183, 0))
    assert (query.rcode, query.answers) == ("NXDOMAIN", ())


def test_without_an_answer_the_query_is_told_in_the_end() -> None:
    queries = DnsQueries()
    queries.take(sent())
    now = time.monotonic()
    assert list(queries.due(now)) == []
    (query,) = queries.due(now + PATIENCE + 1)
    assert (query.name, query.rcode, query.answers) == ("example.com", "", ())
    assert queries.waiting == 0


def test_everything_is_told_at_the_last() -> None:
    queries = DnsQueries()
    queries.take(sent(1))
    queries.take(sent(2))
    assert [query.id for query in queries.due(0.0, last=True)] == [1, 2]


def test_the_same_question_asked_again_is_one() -> None:
    queries = DnsQueries()
    queries.take(sent())
    queries.take(sent())
    assert len(queries.take(got())) == 1
    assert queries.waiting == 0


def test_answers_find_their_own_process_and_number() -> None:
    queries = DnsQueries()
    queries.take(sent())
    (other,) = queries.take(got(key=OTHER))
    assert (other.time_ns, other.key) == (200, OTHER)
    assert queries.waiting == 1


def test_by_tcp_the_length_may_come_with_the_message_or_before_it() -> None:
    for query in (packet(0x0100), b"\0\x1d" + packet(0x0100)):
        for answer in (packet(0x8180, 1), b"\0\x2d" + packet(0x8180, 1)):
            queries = DnsQueries()
            queries.take(sent(protocol=6, payload=query))
            assert list(queries.take(got(protocol=6, payload=answer[:2]))) == []
            (found,) = queries.take(got(protocol=6, payload=answer))
            assert (found.name, found.answers) == ("example.com", ("A 192.0.2.80",))


def test_what_is_no_query_but_goes_to_a_name_server_is_told_as_such() -> None:
    (odd,) = DnsQueries().take(sent(payload=b"\0\7tunnel"))
    assert (odd.id, odd.name, odd.type) == (7, "", "")
    assert list(DnsQueries().take(got(payload=b"garbage"))) == []
    assert list(DnsQueries().take(sent(protocol=6, payload=b"garbage"))) == []


def test_what_a_name_server_gets_and_answers_is_no_query() -> None:
    queries = DnsQueries()
    assert list(queries.take(got(flags=0x0100, answers=0))) == []
    assert list(queries.take(sent(payload=packet(0x8180, 1)))) == []
    assert queries.waiting == 0


def test_too_many_that_wait_are_told_early() -> None:
    queries = DnsQueries()
    for number in range(MOST_WAITING):
        assert list(queries.take(sent(number))) == []
    (first,) = queries.take(sent(MOST_WAITING))
    assert first.id == 0
    assert queries.waiting == MOST_WAITING


def test_it_sees_nothing_else() -> None:
    assert list(DnsQueries().see(None)) == []


SERVER = "127.0.0.77"
needs_tools = pytest.mark.skipif(
    not (shutil.which("dnsmasq") and shutil.which("dig")),
    reason="needs dnsmasq and dig (tools/debian-packages test)",
)


@pytest.fixture
def name_server(mark: str, tmp_path: Path, until: Callable[..., Any]) -> Iterator[Path]:
    """Run dnsmasq, which knows one name; return a resolv.conf that names it."""
    settings = tmp_path / "dnsmasq.conf"
    settings.write_text(
        f"no-resolv\nno-hosts\nlisten-address={SERVER}\nbind-interfaces\nuser=root\nlocal=/test/\n"
        f"address=/{mark}.test/192.0.2.80\naddress=/{mark}.test/2001:db8::80\n"
        f'txt-record=text-{mark}.test,"some text"\n'
    )
    command = ["dnsmasq", "-k", "-C", str(settings), "--pid-file="]
    with subprocess.Popen(command) as process:
        until(_is_up)
        resolver = tmp_path / "resolv.conf"
        resolver.write_text(f"nameserver {SERVER}\n")
        yield resolver
        process.terminate()


def _is_up() -> bool:
    with socket.socket() as one:
        one.settimeout(0.2)
        return one.connect_ex((SERVER, 53)) == 0


@needs_tools
@pytest.mark.root
def test_questions_of_real_programs(telling: Any, mark: str, name_server: Path) -> None:
    script = f"mount --bind {name_server} /etc/resolv.conf; getent ahosts {mark}.test"
    dig = ["dig", f"@{SERVER}"]
    subprocess.run([*dig, f"text-{mark}.test", "TXT", "+tcp"], check=True, capture_output=True)
    subprocess.run([*dig, f"nothing-{mark}.test"], check=True, capture_output=True)
    subprocess.run(["unshare", "-m", "sh", "-c", script], check=True, capture_output=True)

    def asked(name: str, kind: str) -> dict[str, Any]:
        wanted = (f"{name}.test", kind)
        found: dict[str, Any] = telling.event(
            "dns", lambda event: (event.get("DnsQuery"), event.get("DnsType")) == wanted
        )
        return found

    text = asked(f"text-{mark}", "TXT")
    assert (text["DnsAnswers"], text["Protocol"], text["FileName"]) == ("TXT some text", 6, "dig")
    assert asked(f"nothing-{mark}", "A")["DnsResponseCode"] == "NXDOMAIN"
    assert asked(mark, "A")["DnsAnswers"] == "A 192.0.2.80"
    six = asked(mark, "AAAA")
    assert (six["DnsAnswers"], six["FileName"]) == ("AAAA 2001:db8::80", "getent")
    assert (six["RemoteIp"], six["RemotePort"], six["Protocol"]) == (SERVER, 53, 17)


@pytest.mark.root
def test_a_question_that_nobody_answers(telling: Any, mark: str) -> None:
    query = packet(0x0100).replace(b"\7example\3com", bytes([len(mark)]) + mark.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(query, ("127.0.0.78", 53))
    event = telling.event("dns", lambda event: event.get("DnsQuery") == mark)
    assert (event["DnsType"], event["RemoteIp"]) == ("A", "127.0.0.78")
    assert "DnsResponseCode" not in event
