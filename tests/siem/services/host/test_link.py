"""The link with a core that a test plays."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

import msgspec
import pytest
from tests.siem.services.host.test_supervisor import ORDERS

from deodar.kit import logging as logs
from deodar.siem.collector.board import Board
from deodar.siem.connectors.status import Status
from deodar.siem.errors import CoreUnavailable, NotAdmitted, PairingRefused, ServiceDeleted
from deodar.siem.services.host import link as module
from deodar.siem.services.host.link import Link
from deodar.siem.services.host.log_lines import LogLines
from deodar.siem.services.wire import Host, ServiceReport
from deodar.tls.certificates import self_signed


class Core:
    """Both the client and the identity; `answers` are given one after the other, then orders."""

    def __init__(self) -> None:
        self.reports: list[ServiceReport] = []
        self.answers: list[Exception] = []
        self.recovered = self.renewed = 0
        self.refuses_recovery = False
        self.certificate = self_signed("x", days=300).certificate
        self.changed = asyncio.Event()

    @property
    def client(self):
        return self

    async def report(self, report: ServiceReport):
        self.reports.append(report)
        self.changed.set()
        self.changed = asyncio.Event()
        if self.answers:
            raise self.answers.pop(0)
        return msgspec.structs.replace(ORDERS, seconds=0.01)

    async def recover(self) -> bool:
        if self.refuses_recovery:
            raise PairingRefused("not good")
        self.recovered += 1
        return True

    async def renew(self) -> bool:
        self.renewed += 1
        return True

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.reports) < count:
                await self.changed.wait()


class Supervised:
    """What the link sees of a supervisor."""

    running, refused, refused_reason, reloads = 3, 0, "", 0
    at_work, disabled = True, False

    def __init__(self) -> None:
        self.orders: list = []
        self.begun_again = 0

    def follow(self, orders) -> None:
        self.orders.append(orders)

    def begin_again(self) -> None:
        self.begun_again += 1


@pytest.fixture
def core(monkeypatch):
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    return Core()


@pytest.fixture
def supervised():
    return Supervised()


@contextlib.asynccontextmanager
async def linked(core, supervised, tmp_path, look=None):
    async def at_work():
        board = Board("c", 1)
        board.connector = Status("green", "fetching")
        return board.report()

    lines = LogLines()
    end = lines.listen()
    link = Link(core, Host("h"), lines, look or at_work, tmp_path, "test", debug=False)
    task = asyncio.create_task(link.run(supervised))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ServiceDeleted):
            await task
        end()


async def test_it_reports_and_hands_the_orders_on(core, supervised, tmp_path):
    async with linked(core, supervised, tmp_path):
        await core.until(2)
    first = core.reports[0]
    assert (first.colour, first.reason, first.running) == ("green", "fetching", 3)
    assert first.measures.partitions
    assert supervised.orders[0].version == 1
    assert core.reports[0].boot == core.reports[1].boot


async def test_when_the_core_was_away_its_log_has_when_and_how_long(
    core, supervised, tmp_path, monkeypatch
):
    core.answers = [CoreUnavailable("no answer"), CoreUnavailable("no answer")]
    async with linked(core, supervised, tmp_path):
        await core.until(4)
    told = [line.text for line in core.reports[-1].lines]
    assert len([text for text in told if "does not answer" in text]) == 1
    assert len([text for text in told if "the core is back" in text]) == 1


async def test_a_refused_certificate_is_replaced_and_the_collector_opened_again(
    core, supervised, tmp_path
):
    core.answers = [NotAdmitted(401, "was reset")]
    async with linked(core, supervised, tmp_path):
        await core.until(2)
    assert (core.recovered, supervised.begun_again) == (1, 1)


async def test_without_a_good_proof_it_goes_on_and_tells(core, supervised, tmp_path):
    core.refuses_recovery = True
    core.answers = [NotAdmitted(401, "was reset")]
    async with linked(core, supervised, tmp_path):
        await core.until(3)
    assert supervised.begun_again == 0
    told = "".join(line.text for line in core.reports[-1].lines)
    assert "no other certificate" in told


async def test_a_deleted_service_ends(core, supervised, tmp_path):
    core.answers = [NotAdmitted(410, "was deleted")]
    async with linked(core, supervised, tmp_path) as task:
        with pytest.raises(ServiceDeleted, match="uninstall"):
            async with asyncio.timeout(10):
                await task


async def test_a_certificate_is_renewed_in_its_last_third(core, supervised, tmp_path):
    async with linked(core, supervised, tmp_path):
        await core.until(2)
    assert core.renewed == 0

    class Later(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.fromtimestamp(datetime.now(UTC).timestamp() + 201 * 86_400, zone)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "datetime", Later)
        async with linked(core, supervised, tmp_path):
            await core.until(4)
    assert (core.renewed, supervised.begun_again) == (1, 1)


async def test_one_that_is_not_at_work_says_so(core, supervised, tmp_path):
    supervised.at_work = False
    async with linked(core, supervised, tmp_path):
        await core.until(1)
    assert (core.reports[0].colour, core.reports[0].reason) == (
        "yellow",
        "the collector is not at work yet",
    )


async def test_debug_is_switched_while_it_runs(core, supervised, tmp_path, monkeypatch):
    switched = []
    monkeypatch.setattr(logs, "configure", lambda program, *, debug: switched.append(debug))
    monkeypatch.setattr("tests.siem.services.host.test_link.ORDERS",
                        msgspec.structs.replace(ORDERS, debug=True))  # fmt: skip
    async with linked(core, supervised, tmp_path):
        await core.until(3)
    assert switched == [True]
