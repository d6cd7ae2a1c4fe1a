from __future__ import annotations

import socket
import threading
import time

import pytest
from tests.siem.pipeline.enrichment.name_server import free_port, name_server, needs_dnsmasq

from deodar.siem.pipeline.enrichment.resolver import Found, Question, Resolver, Server

WEB = Question("web.example", "A")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with name_server(tmp_path_factory.mktemp("dns")) as found:
        yield found


@needs_dnsmasq
def test_many_questions_are_answered_at_once(server):
    questions = [Question(f"h{n}.example", "A") for n in range(200)]
    found = Resolver([server], concurrency=16).ask(questions, 10)
    assert found == {one: Found((f"198.51.100.{n}",), 300) for n, one in enumerate(questions)}


@needs_dnsmasq
def test_each_type_of_record_is_read_and_what_does_not_exist_is_an_answer(server):
    reverse = Question("7.2.0.192.in-addr.arpa", "PTR")
    alias, absent = Question("alias.example", "A"), Question("no.example", "A")
    longer = Question("web.example", "AAAA")
    found = Resolver([server], 8).ask([WEB, longer, reverse, alias, absent], 10)
    assert found[WEB].values == ("192.0.2.7",)
    assert found[longer].values == ("2001:db8::7",)
    assert found[reverse].values == ("web.example",)
    assert found[alias].values == ("192.0.2.7",)
    assert found[absent].values == ()


@needs_dnsmasq
def test_an_answer_that_is_cut_off_is_asked_for_over_tcp(server):
    found = Resolver([server], 1).ask([Question("wide.example", "A")], 10)
    assert len(next(iter(found.values())).values) == 120


@needs_dnsmasq
def test_the_next_server_is_asked_when_one_is_dead(server):
    found = Resolver([Server("127.0.0.1", free_port()), server], 8).ask([WEB], 10)
    assert found[WEB].values == ("192.0.2.7",)


def test_names_that_no_name_can_be_are_answered_with_nothing():
    odd = Question(f"{'a' * 64}.example", "A")
    assert Resolver([Server("127.0.0.1", free_port())], 1).ask([odd], 1)[odd].values == ()


@pytest.mark.parametrize("answer", [b"", b"\0", b"\xff" * 600, None])
def test_servers_that_are_silent_or_answer_nonsense_cost_no_more_than_the_limit(answer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        link.settimeout(5)

        def speak() -> None:
            for _ in range(2):
                query, sender = link.recvfrom(4096)
                if answer is not None:
                    link.sendto(query[:2] + answer, sender)

        thread = threading.Thread(target=speak)
        thread.start()
        began = time.monotonic()
        found = Resolver([Server(*link.getsockname())], 4).ask([WEB], 0.4)
        assert (found, time.monotonic() - began < 2.0) == ({}, True)
        thread.join()
