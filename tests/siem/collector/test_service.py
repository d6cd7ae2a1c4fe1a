"""A collector as a process of its own, between a scripted EDR server and a real core."""

from __future__ import annotations

import asyncio
import json
import random
import tomllib

import msgspec
import pytest
from tests.siem.destinations.test_http import Receiver
from tests.siem.scripted import Reply, ScriptedServer, page, refusal

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.events.builders import EventBuilder
from deodar.kit import settings as files
from deodar.siem import control
from deodar.siem.collector import board as boards
from deodar.siem.settings import CollectorSettings

PAGES = 40
PER_PAGE = 250


class Edr:
    """A scripted EDR server: `pages` answers with one token after another, then nothing new."""

    def __init__(self, pages: int, per_page: int = PER_PAGE) -> None:
        builder = EventBuilder(5)
        self.events = [builder.events(per_page) for _ in range(pages)]
        self.troubles: list[Reply] = []
        self.accepted = True

    def __call__(self, asked):
        if not self.accepted:
            return refusal(401, "Unauthorized")
        if self.troubles:
            return self.troubles.pop()
        position = int(asked.token or 0)
        if position >= len(self.events):
            return page(str(position), [], delay=0.05)
        return page(str(position + 1), self.events[position])

    @property
    def drained(self):
        return lambda asked: asked.token == str(len(self.events))


def report(home) -> boards.Report:
    answer = control.call(home.socket, "GET", "/status")
    return msgspec.json.decode(answer.content, type=boards.Report)


async def until(condition, limit=40.0):
    async with asyncio.timeout(limit):
        # What is looked at is in other processes: there is no event to wait for.
        while not (found := await asyncio.to_thread(condition)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


def stored(core, home):
    counts = "select count() as n, uniqExact(ID) as ids from events"
    return core.search(f"{counts} where ServiceName = '{home.path.name}'")[0]


async def test_from_waiting_for_authorization_to_events_in_the_store(
    core, tmp_path, collector_process
):
    edr = Edr(4)
    edr.accepted = False
    async with ScriptedServer(edr, tmp_path) as server:
        home = core.collector(server.url, pins=(server.pin,))
        await asyncio.to_thread(collector_process, home)
        waiting = await until(
            lambda: "authorization" in report(home).status.reason and report(home)
        )
        assert waiting.status.colour == "yellow"
        edr.accepted = True
        done = await until(lambda: report(home).counts.stored == 4 * PER_PAGE and report(home))
        assert done.status.colour == "green"
        assert done.counts.received == done.counts.normalized == 4 * PER_PAGE
        assert stored(core, home) == {"n": 4 * PER_PAGE, "ids": 4 * PER_PAGE}
        text = control.call(home.socket, "GET", "/metrics").text
        assert f'stage="stored"}} {4 * PER_PAGE}.0' in text


@pytest.mark.slow
async def test_killed_at_any_moment_every_event_is_stored_once(core, tmp_path, collector_process):
    edr, chance = Edr(PAGES), random.Random(3)
    async with ScriptedServer(edr, tmp_path) as server:
        home = core.collector(server.url, pins=(server.pin,))
        kills = 0
        while not any(edr.drained(asked) for asked in server.asked) and kills < 8:
            child = await asyncio.to_thread(collector_process, home)
            begun = len(server.asked)
            await server.until(lambda begun=begun: len(server.asked) > begun)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await asyncio.to_thread(child.kill)
            kills += 1
        assert kills >= 2
        await asyncio.to_thread(collector_process, home)
        expected = PAGES * PER_PAGE
        await until(lambda: stored(core, home)["n"] >= expected, limit=60)
        await until(lambda: report(home).waiting == 0)
    assert stored(core, home) == {"n": expected, "ids": expected}
    ids = [event["Id"] for events in edr.events for event in events]
    assert len(set(ids)) == expected


def add_destinations(home, *tables):
    settings = files.load(home.path / "collector.toml", CollectorSettings)
    changed = msgspec.structs.replace(settings, destinations=list(tables))
    home.write("collector.toml", files.dump(changed).encode())


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_killed_in_mid_delivery_each_destination_gets_everything_and_the_store_once(
    core, tmp_path, collector_process
):
    pages, per_page = 16, 100
    edr, chance = Edr(pages, per_page), random.Random(5)
    async with ScriptedServer(edr, tmp_path) as server, Receiver() as receiver:
        home = core.collector(server.url, pins=(server.pin,))
        add_destinations(
            home,
            {"name": "archive", "kind": "file", "path": "events.jsonl"},
            {"name": "hook", "kind": "http", "urls": [receiver.url], "max_body_bytes": 131072},
            {"name": "dead", "kind": "http", "urls": ["http://127.0.0.1:9/"]},
        )
        kills = 0
        while kills < 4:
            child = await asyncio.to_thread(collector_process, home)
            begun = len(receiver.got)
            await until(
                lambda begun=begun: len(receiver.got) > begun or any(map(edr.drained, server.asked))
            )
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            await asyncio.to_thread(child.kill)
            kills += 1
        await asyncio.to_thread(collector_process, home)
        expected = pages * per_page
        await until(lambda: stored(core, home)["n"] >= expected, limit=60)
        await until(lambda: waiting(home) == {"storage": 0, "archive": 0, "hook": 0})
        found = {one.name: one for one in report(home).destinations}
    assert stored(core, home) == {"n": expected, "ids": expected}
    ids = {
        row["ID"]
        for row in core.search(
            f"select ID from events where ServiceName = '{home.path.name}'", limit=expected
        )
    }
    written = (home.path / "events.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["ID"] for line in written} == ids
    assert set(receiver.ids()) == ids
    assert found["dead"].reason
    assert (found["dead"].events, found["dead"].waiting >= pages) == (0, True)


def waiting(home):
    return {one.name: one.waiting for one in report(home).destinations if one.name != "dead"}


async def test_bad_answers_and_events_are_kept_aside_and_the_stream_goes_on(
    core, tmp_path, collector_process
):
    edr = Edr(3, per_page=10)
    broken = json.dumps(edr.events[1]).encode().replace(b'"EventType"', b'"EventType', 1)
    edr.troubles = [Reply(200, b"<html>"), refusal(500, "boom"), Reply(200, b'{"events":[]}')]

    def script(asked):
        reply = edr(asked)
        if asked.token == "1" and reply.status == 200:
            return page("2", broken)
        return reply

    async with ScriptedServer(script, tmp_path) as server:
        home = core.collector(server.url, pins=(server.pin,))
        await asyncio.to_thread(collector_process, home)
        await until(lambda: report(home).counts.stored >= 29)
    assert stored(core, home)["n"] == 29
    letters = DeadLetterStore(home.path / "dead-letters").list()
    assert {b"<html>", b'{"events":[]}'} <= {letter.letter.raw for letter in letters}
    assert len(letters) == 3
    batches = {letter.batch_id for letter in letters if letter.letter.raw.startswith(b'{"')}
    assert batches


async def test_a_lost_token_waits_for_an_administrator_and_a_reset_fetches_history(
    core, tmp_path, collector_process
):
    edr = Edr(2, per_page=20)
    lost = False

    def script(asked):
        if lost and asked.token is not None:
            return refusal(400, "Continuation token not found")
        return edr(asked)

    async with ScriptedServer(script, tmp_path) as server:
        home = core.collector(server.url, pins=(server.pin,))
        await asyncio.to_thread(collector_process, home)
        await until(lambda: report(home).counts.stored == 40)
        lost = True
        shown = await until(lambda: report(home).status.colour == "yellow" and report(home))
        assert "reset-token" in shown.status.remedy
        first = len(server.asked)
        lost = False
        await asyncio.to_thread(control.call, home.socket, "POST", "/reset-token")
        await server.until(lambda: any(a.token is None for a in server.asked[first:]))
        await until(lambda: stored(core, home)["n"] == 80)


async def test_a_changed_external_id_begins_anew_and_the_same_one_goes_on(
    core, tmp_path, collector_process
):
    edr = Edr(2, per_page=20)
    async with ScriptedServer(edr, tmp_path) as server:
        home = core.collector(server.url, pins=(server.pin,))
        child = await asyncio.to_thread(collector_process, home)
        await until(lambda: report(home).counts.stored == 40)
        await asyncio.to_thread(child.stop)
        seen = len(server.asked)
        child = await asyncio.to_thread(collector_process, home)
        await server.until(lambda: len(server.asked) > seen)
        assert server.asked[seen].token == "2"
        await asyncio.to_thread(child.stop)
        text = home.read("collector.toml").decode()
        old = tomllib.loads(text)["connector"]["external_id"]
        new = "00000000-0000-4000-8000-000000000001"
        home.write("collector.toml", text.replace(old, new).encode())
        seen = len(server.asked)
        child = await asyncio.to_thread(collector_process, home)
        await server.until(lambda: len(server.asked) > seen)
        assert server.asked[seen].token is None
        assert new in server.asked[seen].path
        assert "have changed" in child.last_words(50)


async def test_a_second_process_of_the_same_collector_is_refused(core, collector_process):
    home = core.collector("127.0.0.1:1")
    await asyncio.to_thread(collector_process, home)
    from deodar.kit.children import ChildError

    with pytest.raises(ChildError, match="in use by process"):
        await asyncio.to_thread(collector_process, home)
