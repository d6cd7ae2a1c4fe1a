"""A wait that another thread ends."""

from __future__ import annotations

import os
import select
import threading
import time

import pytest

from deodar.agent.sensors.waker import Waker


@pytest.fixture
def waker():
    made = Waker()
    yield made
    made.close()


def is_set(waker):
    return bool(select.select([waker], [], [], 0)[0])


def test_wait_ends_at_once(waker):
    threading.Timer(0.1, waker.set).start()
    before = time.monotonic()
    assert select.select([waker], [], [], 30)[0] == [waker]
    assert time.monotonic() - before < 10


def test_it_stays_set_until_it_is_cleared(waker):
    waker.set()
    waker.set()
    assert is_set(waker)
    waker.clear()
    assert not is_set(waker)
    waker.clear()


def test_closed_one_does_nothing_to_the_descriptor_of_others(waker):
    number = waker.fileno()
    waker.close()
    reader, writer = os.pipe()
    assert number in (reader, writer)
    waker.set()
    waker.clear()
    waker.close()
    assert waker.fileno() == -1
    assert not select.select([reader], [], [], 0)[0]
    os.close(reader)
    os.close(writer)
