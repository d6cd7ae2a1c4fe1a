from __future__ import annotations

import os
import socket
import time
from typing import Any

import pytest

from deodar.agent.gather.listens import MOST_PORTS, MOST_WAITING, PATIENCE, Listens
from deodar.agent.sensors.base import UNKNOWN_PROCESS, Connection, Listen, ProcessKey

KEY = ProcessKey(7, 9)


def listen(port: int, key: ProcessKey = KEY) -> Listen:
    return Listen(1, key, "::", port, 6)


def test_a_port_that_was_asked_for_goes_on_at_once() -> None:
    assert list(Listens().take(listen(80))) == [listen(80)]


def test_of_a_port_that_was_chosen_only_the_number_is_told() -> None:
    listens = Listens()
    assert list(listens.take(listen(0))) == []
    assert listens.waiting == 1
    assert list(listens.take(listen(40000))) == [listen(40000)]
    assert listens.waiting == 0


def inbound(port: int, key: ProcessKey = UNKNOWN_PROCESS) -> Connection:
    return Connection(2, key, "inbound", 10, 6, "::1", port, "::1", 5)


def test_connections_to_a_port_that_was_chosen_are_put_down_to_its_owner() -> None:
    listens = Listens()
    assert list(listens.take(inbound(40000))) == [inbound(40000)]
    listens.take(listen(0))
    listens.take(listen(40000))
    assert list(listens.take(inbound(40000))) == [inbound(40000, KEY)]
    assert list(listens.take(inbound(40001))) == [inbound(40001)]
    known = inbound(40000, ProcessKey(8, 9))
    assert list(listens.take(known)) == [known]


def test_only_so_many_owners_are_remembered() -> None:
    listens = Listens()
    for port in range(1, MOST_PORTS + 2):
        listens.take(listen(0))
        listens.take(listen(port))
    assert list(listens.take(inbound(1))) == [inbound(1)]
    assert list(listens.take(inbound(2))) == [inbound(2, KEY)]


def test_another_process_does_not_answer_for_it() -> None:
    listens = Listens()
    listens.take(listen(0))
    listens.take(listen(40000, ProcessKey(8, 9)))
    assert list(listens.due(0.0, last=True)) == [listen(0)]


def test_without_the_number_it_is_told_in_the_end() -> None:
    listens = Listens()
    listens.take(listen(0))
    now = time.monotonic()
    assert list(listens.due(now)) == []
    assert list(listens.due(now + PATIENCE)) == [listen(0)]


def test_too_many_are_told_early() -> None:
    listens = Listens()
    given = [one for _ in range(MOST_WAITING + 3) for one in listens.take(listen(0))]
    assert len(given) == 3
    assert list(listens.see(None)) == []


@pytest.mark.root
def test_a_port_that_the_kernel_chose_and_a_connection_to_it(telling: Any) -> None:
    with socket.socket() as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            pass
    taken = telling.event(
        "connection", lambda event: event["LocalPort"] == port and event["Direction"] == 0
    )
    assert taken["SystemPid"] == os.getpid()
    own = [one for one in telling.so_far("portlisten") if one["SystemPid"] == os.getpid()]
    assert [one["LocalPort"] for one in own] == [port]
