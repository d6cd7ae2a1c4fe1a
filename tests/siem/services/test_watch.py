from __future__ import annotations

import asyncio
import contextlib

from tests.siem.services.conftest import report

from deodar.siem.errors import ControlDataError
from deodar.siem.services.audit import latest
from deodar.siem.services.service import status
from deodar.siem.services.wire import LogLine, Measures


def lines(first: int, last: int) -> tuple[LogLine, ...]:
    return tuple(
        LogLine(number, 1.0, "info", f"line {number}") for number in range(first, last + 1)
    )


async def test_a_report_makes_a_service_green_and_answers_with_orders(known, service):
    orders = known.watch.take(service, report(), "192.0.2.7")
    assert (orders.version, orders.disabled, orders.log_from) == (1, False, 1)
    assert orders.seconds == known.settings.services.report_seconds
    await known.watch.write()
    found = known.register.find("branch-1")
    assert found.report == report()
    assert (found.address, bool(found.paired_us)) == ("192.0.2.7", True)
    assert status(found, found.reported_us, 60.0) == ("green", "fetching")


async def test_a_condition_is_shown_told_and_over(known, service):
    known.watch.take(service, report(measures=Measures(log_errors=1)), "a")
    known.watch.take(service, report(measures=Measures(log_errors=3)), "a")
    await known.watch.write()
    found = known.register.find("branch-1")
    assert [alert.name for alert in found.alerts] == ["Connector log errors increasing"]
    colour, reason = status(found, found.reported_us, 60.0)
    assert colour == "yellow"
    assert "by 2 lines" in reason
    known.watch.take(service, report(boot="next"), "a")
    await known.watch.write()
    assert known.register.find("branch-1").alerts == ()
    told = [row for row in latest(known.database) if row.action.startswith("service alert")]
    assert [row.action for row in told] == ["service alert over", "service alert"]
    assert told[0].user == "core"


async def test_lines_of_the_log_come_once_and_the_last_ones_stay(known, service):
    orders = known.watch.take(service, report(lines=lines(1, 3)), "a")
    assert orders.log_from == 4
    orders = known.watch.take(service, report(lines=lines(2, 5)), "a")
    assert orders.log_from == 6
    assert [line.number for line in known.watch.lines(service.id, 3)] == [3, 4, 5]
    orders = known.watch.take(service, report(boot="next", lines=lines(1, 1)), "a")
    assert orders.log_from == 2
    assert [line.number for line in known.watch.lines(service.id, 100)] == [1, 2, 3, 4, 5, 1]
    assert known.watch.lines("absent", 5) == []


async def test_a_core_that_began_anew_asks_for_what_the_service_still_has(known, service):
    orders = known.watch.take(service, report(lines=lines(8, 9)), "a")
    assert orders.log_from == 1
    orders = known.watch.take(service, report(lines=lines(5, 9)), "a")
    assert orders.log_from == 10
    assert [line.number for line in known.watch.lines(service.id, 100)] == [5, 6, 7, 8, 9]


async def test_a_change_of_colour_is_told(known, service):
    await known.watch.write()
    known.watch.take(service, report(), "a")
    await known.watch.write()
    known.register.disable("branch-1", disabled=True)
    await known.watch.write()
    told = [row.details for row in latest(known.database) if row.action == "service status changed"]
    assert told == ["green -> grey: disabled", "blue -> green: fetching"]


async def test_what_the_database_does_not_take_is_written_later(known, service, monkeypatch):
    @contextlib.contextmanager
    def away():
        raise ControlDataError("away")
        yield

    known.watch.take(service, report(), "a")
    with monkeypatch.context() as patch:
        patch.setattr(known.database, "write", away)
        await known.watch.write()
    assert known.register.find("branch-1").report is None
    await known.watch.write()
    assert known.register.find("branch-1").report == report()


async def test_the_last_reports_are_written_at_the_end(known, service):
    async with known.watch.running():
        known.watch.take(service, report(), "a")
    found = await asyncio.to_thread(known.register.find, "branch-1")
    assert found.report == report()
