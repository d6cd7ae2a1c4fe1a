from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from deodar.agent.loss import LossBook
from deodar.agent.packets import Packer
from deodar.agent.settings import SpoolSettings, TransferSettings
from deodar.agent.shipping import SMALLEST, Shipped, Shipping
from deodar.agent.spool import Spool
from deodar.agent.uplink import Delivered, Partial, Retry, SetAside, Split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Desk:
    """A real spool and the shipping from it."""

    def __init__(self, folder: Path) -> None:
        self.losses = LossBook()
        self.spool = Spool(folder / "spool", SpoolSettings(sync=False), self.losses)
        self.counters = Shipped()
        self.shipping = Shipping(
            self.spool, self.losses, TransferSettings(), folder / "dead", self.counters
        )

    def put(self, packets: int, size: int = 10) -> None:
        for number in range(packets):
            text = random.Random(number).randbytes(size // 2).hex()
            line = json.dumps({"Id": f"e{number}", "Text": text}).encode()
            self.spool.put(Packer().pack([line], 1, 2, (0, 1, 0)))

    def extent(self) -> tuple[int, int] | None:
        batch = self.shipping.next(0, 0)
        return (batch.first, batch.last) if batch else None

    def settle(self, verdict: Delivered | Partial | Retry | Split | SetAside) -> None:
        batch = self.shipping.next(0, 0)
        assert batch is not None
        self.shipping.settle(batch, verdict)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.spool.close()


def test_request_is_named_by_its_first_and_last_packet(desk: Desk) -> None:
    desk.put(3)
    batch = desk.shipping.next(0, 0)
    assert batch is not None
    headers = desk.shipping.headers(batch)
    assert headers["Deodar-Packet-First"] == "1"
    assert headers["Deodar-Packet"] == "3"
    assert headers["Deodar-Spool"] == desk.spool.identity
    assert headers["Content-Encoding"] == "zstd"


def test_request_stays_the_same_until_it_is_settled(desk: Desk) -> None:
    desk.put(3)
    assert desk.extent() == (1, 3)
    desk.put(3)
    desk.settle(Retry())
    assert desk.extent() == (1, 3)
    desk.settle(Delivered(1, False))
    assert desk.extent() == (4, 6)
    assert (desk.counters.packets, desk.counters.events, desk.counters.dead_events) == (1, 3, 1)


def test_rest_of_a_request_follows_what_the_server_has(desk: Desk) -> None:
    desk.put(5)
    desk.settle(Partial(2))
    assert desk.extent() == (3, 5)
    desk.settle(Delivered(0, True))
    assert desk.extent() is None
    assert desk.spool.state().packets == 0
    assert desk.counters.duplicates == 1


def test_split_request_goes_packet_by_packet_and_then_together_again(desk: Desk) -> None:
    desk.put(3)
    desk.settle(Split("HTTP 413"))
    desk.put(2)
    extents = []
    for _ in range(4):
        extents.append((desk.extent(), desk.shipping.one_by_one))
        desk.settle(Delivered(0, False))
    assert extents == [((1, 1), True), ((2, 2), True), ((3, 3), True), ((4, 5), False)]


def test_dead_packet_is_kept_counted_and_left_behind(desk: Desk, tmp_path: Path) -> None:
    desk.put(1)
    desk.settle(SetAside("HTTP 413"))
    assert desk.extent() is None
    assert desk.counters.set_aside == 1
    assert desk.losses.totals() == {"uplink": 1}
    assert len(list((tmp_path / "dead").iterdir())) == 1


def test_slow_line_gets_smaller_requests_and_a_quick_one_larger_again(desk: Desk) -> None:
    desk.put(40, size=20_000)
    sizes = []
    for _ in range(6):
        batch = desk.shipping.next(0, 0)
        assert batch is not None
        sizes.append(len(batch.body))
        desk.shipping.too_slow(batch)
    assert sizes[0] > 300_000
    assert sizes[1] <= sizes[0] // 2
    assert sizes[-1] <= SMALLEST
    for _ in range(2):
        desk.settle(Delivered(0, False))
    batch = desk.shipping.next(0, 0)
    assert batch is not None
    assert len(batch.body) > SMALLEST


def test_nothing_to_send_is_waited_for_no_longer_than_said(desk: Desk) -> None:
    assert desk.extent() is None
    assert desk.counters.requests == 0
