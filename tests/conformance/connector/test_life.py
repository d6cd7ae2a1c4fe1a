"""Life cycle, statuses, errors: what KUMA's help tells of a collector with this connector."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from tests.conformance.connector.conftest import Station, at_work, change
from tests.conformance.connector.server import TroubleServer, in_turn, page, quiet, refusal
from tests.siem.test_cli import deodar

from deodar.events.builders import EventBuilder
from deodar.siem import control
from deodar.siem.collector import board as boards
from deodar.siem.collector.home import settings_of

CONFLICT = (
    "Conflict: An external system with the following ip and certificate digest already exists. "
    "Either delete it or provide a new certificate"
)


class Edr:
    """A server with some history that accepts its client when told to."""

    def __init__(self, *pages, accepted=True):
        self.pages, self.accepted = list(pages), accepted

    def __call__(self, asked):
        if not self.accepted:
            return refusal(401, "Unauthorized")
        number = int((asked.token or "t0")[1:])
        if number < len(self.pages):
            return page(f"t{number + 1}", self.pages[number])
        return page(f"t{number}", delay=0.05)


def aged(events, seconds):
    """Return events that happened so long ago; KEDR's Timestamp is in µs."""
    at = int((time.time() - seconds) * 1_000_000)
    return [{**event, "Timestamp": at} for event in events]


@pytest.mark.connector_row("1.2", "1 several URLs are nodes of one cluster, tried in sequence")
async def test_nodes_of_a_cluster(core, idle, saw_row):
    made = idle(Edr(EventBuilder(1).events(3)))
    with TroubleServer(lambda _asked: refusal(500, "broken node")) as broken:
        nodes = ["127.0.0.1:1", broken.url, made.server.url]
        change(made.home, urls=nodes, pins=[broken.pin, made.server.pin])
        async with at_work(made.home):
            await made.stored(3)
            report = await made.until(lambda report: report.servers[2].asked)
    dead, ill, well = report.servers
    assert (dead.failures, ill.failures, well.failures) == (1, 1, 0)
    assert "no answer" in dead.error
    assert "broken node" in ill.error
    assert well.error == ""
    assert 0 <= dead.again_in <= 60
    saw_row("a closed port, then one that answers 500, then the third; each with its own error")


@pytest.mark.connector_row("1.2", "2 one collector for each server of a distributed installation")
async def test_a_collector_for_each_server(core, idle, saw_row):
    first = idle(Edr(EventBuilder(1).events(2)))
    with TroubleServer(Edr(EventBuilder(2).events(4))) as scn:
        second = Station(core.collector(scn.url, pins=(scn.pin,)), scn, core)
        async with at_work(first.home), at_work(second.home):
            one, two = await first.stored(2), await second.stored(4)
    assert not {event["ExternalID"] for event in one} & {event["ExternalID"] for event in two}
    ids = {settings_of(station.home).connector.external_id for station in (first, second)}
    assert len(ids) == 2
    saw_row("two collectors side by side, 2 and 4 events, each under its own external id")


@pytest.mark.connector_row("1.2", "3 the parser is the normalizer for KEDR telemetry")
async def test_the_normalizer(station, saw_row):
    event = EventBuilder(1).event("process")
    async with station(Edr([event])) as made:
        assert settings_of(made.home).normalizer == "kedr"
        (found,) = await made.stored(1)
    assert found["ExternalID"] == event["Id"]
    assert (found["DeviceVendor"], found["DeviceProduct"]) != ("", "")
    saw_row("`kedr` without being chosen; DeviceVendor and DeviceProduct are filled")


@pytest.mark.connector_row(
    "1.2", "4 the first request asks for authorization; yellow until accepted"
)
@pytest.mark.connector_row("1.3", "installed and not accepted yet: yellow")
@pytest.mark.connector_row("1.4", "401 while not accepted")
async def test_before_acceptance(station, saw_row):
    async with station(Edr(accepted=False)) as made:
        report = await made.said("waiting for authorization")
        assert report.status.colour == "yellow"
        assert "accept this external system" in report.status.remedy
        first = made.server.asked[0]
        assert first.certificate
        assert uuid.UUID(first.external_id)
        await made.server.reached(3)
        assert len({(one.certificate, one.external_id) for one in made.server.asked}) == 1
    saw_row(f"{report.status.colour}: {report.status.reason}; what to do: {report.status.remedy}")


@pytest.mark.connector_row(
    "1.2", "5 after acceptance it goes on by itself, green after the first answer"
)
@pytest.mark.connector_row("1.3", "first answer received: green")
async def test_acceptance(station, saw_row):
    edr = Edr(EventBuilder(1).events(2), accepted=False)
    async with station(edr) as made:
        await made.said("waiting for authorization")
        edr.accepted, began = True, time.monotonic()
        report = await made.until(lambda report: report.status.colour == "green")
        seconds = time.monotonic() - began
        await made.stored(2)
    assert seconds < 6
    saw_row(f"{report.status.colour}: {report.status.reason}, within 6 s of the acceptance")


@pytest.mark.connector_row("1.3", "accepted, waiting for the first answer: yellow")
async def test_waiting_for_the_first_answer(station, saw_row):
    async with station(in_turn(page("t1", delay=60)), client_timeout=100.0) as made:
        await made.server.reached(1)
        report = await made.said("waiting for the first answer")
        assert report.status.colour == "yellow"
    saw_row(f"{report.status.colour}: {report.status.reason}")


@pytest.mark.connector_row("1.3", "errors keep growing: yellow, Connector log errors increasing")
async def test_growing_errors(station, saw_row):
    troubles = [refusal(500, "boom")] * 3
    async with station(in_turn(page("t1"), *troubles)) as made:
        report = await made.said("Connector log errors increasing")
        assert report.status.colour == "yellow"
        again = await made.until(lambda report: report.status.colour == "green")
        assert "boom" in again.last_error
    saw_row(f"after three in a row {report.status.colour}: {report.status.reason}; then green")


@pytest.mark.connector_row("1.3", "the process is down: red")
async def test_down(idle, collector_process, saw_row):
    made = idle()
    child = await asyncio.to_thread(collector_process, made.home)
    await made.until(lambda report: report.status.colour == "green")
    await asyncio.to_thread(child.kill)
    report = await made.until(lambda report: report.status.colour == "red")
    saw_row(f"after SIGKILL {report.status.colour}: {report.status.reason}")


@pytest.mark.connector_row("1.2", "6 history comes first, current events follow")
async def test_history_first(station, saw_row):
    history = [aged(EventBuilder(n).events(3), 3600 - n) for n in range(3)]
    edr = Edr(*history)
    async with station(edr) as made:
        await made.stored(9)
        edr.pages.append(aged(EventBuilder(9).events(2), 0))
        found = await made.stored(11)
    assert [asked.token for asked in made.server.asked[:4]] == [None, "t1", "t2", "t3"]
    batches = sorted({event["BatchID"] for event in found}, key=lambda b: int(b.rpartition("-")[2]))
    last = {event["ExternalID"] for event in found if event["BatchID"] == batches[-1]}
    assert last == {event["Id"] for event in edr.pages[-1]}
    saw_row("three answers of an hour ago, then what came meanwhile, in this order")


@pytest.mark.connector_row("1.2", "7 another URL or external id makes an initial request")
async def test_another_url_or_id(idle, saw_row):
    made = idle(Edr(EventBuilder(1).events(2)))
    async with at_work(made.home):
        await made.stored(2)
    before = made.home.read("collector.toml")
    chosen = f"external_id={uuid.uuid4()}"
    words = ("collector", "set", made.name, chosen, "--dir", made.core.home.path)
    asked = deodar(*words, code=1)
    assert "initial request" in asked.stdout
    assert made.home.read("collector.toml") == before
    assert "initial request" in deodar(*words, "--yes").stdout
    first = len(made.server.asked)
    async with at_work(made.home):
        await made.server.reached(first + 1)
        assert made.server.asked[first].token is None
        assert made.server.asked[first].external_id == chosen.partition("=")[2]
        await made.stored(4)
    words = ("set", made.name, f'urls=["localhost:{made.server.port}"]', "--dir")
    told = deodar("collector", *words, made.core.home.path, "--yes").stdout
    assert "initial request" in told
    quietly = ("set", made.name, "max_events=5", "--dir", made.core.home.path)
    assert "initial request" not in deodar("collector", *quietly).stdout
    saw_row(
        "`collector set` says so and saves nothing without a yes; then the request has no token"
    )


@pytest.mark.connector_row("1.2", "8 history can be left out")
async def test_without_history(station, saw_row):
    old, new = aged(EventBuilder(1).events(5), 600), aged(EventBuilder(2).events(3), -5)
    edr = Edr(old + new)
    async with station(edr, start="from now on") as made:
        found = await made.stored(3)
        assert {event["ExternalID"] for event in found} == {event["Id"] for event in new}
        report = await made.report()
        assert report.counts.too_old == 5
        assert report.counts.received == 8
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 660))
    async with station(edr, start=since) as made:
        await made.stored(8)
    saw_row(
        '"from now on": 5 of 8 events dropped and counted as too_old; since a time: none of the 8'
    )


@pytest.mark.connector_row("1.2", "9 a KEDR server from 5.1 on")
async def test_requests_of_the_known_api(station, saw_row):
    settings = {"max_events": 10, "max_timeout": 1.0, "filter": "EventType == 'process'"}
    async with station(Edr(EventBuilder(1).events(1)), **settings) as made:
        await made.server.reached(3)
    queries = {tuple(sorted(asked.query)) for asked in made.server.asked[:3]}
    known = ("filter", "max_events", "max_timeout")
    assert queries <= {known, tuple(sorted((*known, "continuation_token")))}
    assert all(asked.path.startswith("/kata/events_api/v1/") for asked in made.server.asked)
    saw_row("GET /kata/events_api/v1/ID/events with filter, max_events, max_timeout and token")


@pytest.mark.connector_row(
    "1.2", "10 the token survives a restart; it belongs to connector and certificate"
)
async def test_the_token_and_what_it_belongs_to(idle, saw_row):
    made = idle(Edr(EventBuilder(1).events(2)))
    old = made.home.read("secret.pem")
    async with at_work(made.home):
        await made.stored(2)
    place = ("--dir", made.core.home.path)
    assert await _first_token(made) == "t1"
    deodar("collector", "new-certificate", made.name, "--yes", *place)
    assert await _first_token(made) is None
    made.home.write_secret("secret.pem", old)
    assert await _first_token(made) == "t1"
    saw_row("after a restart t1; with another certificate none; with the former one t1 again")


async def _first_token(made):
    """Return the token that a collector begins with, once it has gone on from it."""
    first = len(made.server.asked)
    async with at_work(made.home):
        await made.server.reached(first + 2)
        await made.until(lambda report: not report.waiting)
    return made.server.asked[first].token


@pytest.mark.connector_row("1.2", "11 the collector's files lie in a folder of its own")
async def test_the_folder(station, saw_row):
    async with station(Edr(EventBuilder(1).events(1))) as made:
        await made.stored(1)
    files = {path.name for path in made.home.path.iterdir()}
    assert {"collector.toml", "secret.pem", "journal", "status.json"} <= files
    assert made.home.path.parent.name == "collectors"
    modes = [(made.home.path / name).stat().st_mode & 0o077 for name in ("secret.pem", "journal")]
    assert modes == [0, 0]
    saw_row("settings, certificate, journal, dead letters, status; key and journal for the owner")


@pytest.mark.connector_row("1.2", "12 ask, wait, hand over, keep the token, ask again at once")
async def test_the_round(station, saw_row):
    pages = [EventBuilder(n).events(20) for n in range(10)]
    async with station(Edr(*pages)) as made:
        await made.server.reached(11)
        await made.stored(200)
    times = [asked.when for asked in made.server.asked[:11]]
    tokens = [asked.token for asked in made.server.asked[:11]]
    assert tokens == [None, *(f"t{n}" for n in range(1, 11))]
    mean = (times[-1] - times[0]) / 10
    assert mean < 0.5
    saw_row("ten answers with events in ten requests, one behind the other, without a pause")


@pytest.mark.connector_row("1.4", "400 max_events N is greater than the allowed value")
async def test_too_many_events(station, saw_row):
    def script(asked):
        if int(asked.query.get("max_events", 0)) > 100:
            return refusal(400, "Bad Request: max_events 500 is greater than the allowed value")
        return quiet(asked)

    async with station(script, max_events=500) as made:
        report = await made.said("max_events 500 is greater than the allowed value")
        assert report.status.colour == "yellow"
        assert "lower max_events" in report.status.remedy
    saw_row(f"{report.status.reason}; what to do: {report.status.remedy}")


@pytest.mark.connector_row(
    "1.4", "409 Conflict: an external system with this ip and certificate digest exists"
)
async def test_conflict(idle, saw_row):
    made = idle()
    taken: list[str] = []

    def script(asked):
        taken.append(asked.certificate)
        return refusal(409, CONFLICT) if asked.certificate == taken[0] else quiet(asked)

    made.server.script = script
    async with at_work(made.home):
        report = await made.said("Conflict: An external system with the following ip")
        assert report.status.colour == "yellow"
        assert "new-certificate" in report.status.remedy
    deodar("collector", "new-certificate", made.name, "--yes", "--dir", made.core.home.path)
    async with at_work(made.home):
        await made.until(lambda report: report.status.colour == "green")
    saw_row("the text, yellow, `new-certificate` as the remedy; green after it")


@pytest.mark.connector_row("1.4", "Continuation token not found")
async def test_a_lost_token(station, saw_row):
    old, new = aged(EventBuilder(1).events(4), 600), aged(EventBuilder(2).events(2), -60)
    edr = Edr(old)
    async with station(edr) as made:
        await made.stored(4)
        forgotten = {"t1"}

        def script(asked):
            if asked.token is None:
                forgotten.clear()
            if asked.token in forgotten:
                return refusal(400, "Continuation token not found")
            return edr(asked)

        made.server.script = script
        report = await made.said("Continuation token not found")
        assert report.status.colour == "yellow"
        assert "reset-token" in report.status.remedy
        report = await made.until(lambda report: report.connector_counts.get("gaps") == 1)
        edr.pages = [old, new]
        words = ("reset-token", made.name, "--start", "from now on", "--yes", "--dir")
        await asyncio.to_thread(deodar, "collector", *words, made.core.home.path)
        found = await made.stored(6)
        report = await made.report()
        assert report.counts.too_old == 4
        assert report.connector_counts["gaps"] == 1
    assert {event["ExternalID"] for event in found} == {event["Id"] for event in old + new}
    saw_row("yellow with the remedy, told as one gap; after the reset only what is newer came")


async def test_a_reset_with_history_brings_it_again(station):
    edr = Edr(EventBuilder(1).events(4))
    async with station(edr) as made:
        await made.stored(4)
        await asyncio.to_thread(control.call, made.home.socket, "POST", "/reset-token")
        await made.stored(8)
        report = await asyncio.to_thread(boards.ask, made.home)
        assert report.counts.repeated == 4
