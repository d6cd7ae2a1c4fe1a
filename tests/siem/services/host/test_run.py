"""A service from its pairing on: real processes of core and service, a scripted EDR server."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator

import pytest
from tests.siem.collector.test_service import Edr, stored
from tests.siem.destinations.test_http import Receiver
from tests.siem.scripted import ScriptedServer
from tests.siem.services.world import World, make_world, until

from deodar.kit.directory import StateDirectory

SET = """\
[connector]
kind = "kata/edr"
urls = ["{url}"]
pins = ["{pin}"]
"""
ABSENT = """
[[destinations]]
name = "x"
kind = "http"
urls = ["https://x"]
tls = { ca = "/absent/authority.pem" }
"""
"""A destination that is well written, and cannot be opened on the service's host."""


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


async def run(world: World, *words: object, code: int = 0) -> str:
    return await asyncio.to_thread(world.run, *words, code=code)


async def at_work(world: World, server: ScriptedServer) -> str:
    """Save a set for the server, make a service of it, start it on "another host"."""
    text = SET.format(url=server.url, pin=server.pin)
    await asyncio.to_thread(world.save, "branch", text)
    words = ("service", "add", "branch-1", "--set", "branch", "--json")
    made = json.loads(await run(world, *words))
    assert (await asyncio.to_thread(world.row, "branch-1"))["status"] == "blue"
    child = await asyncio.to_thread(world.start, "branch-1", made["command"])
    await asyncio.to_thread(child.ready, 60)
    await until(lambda: world.row("branch-1")["status"] == "green")
    return made["command"]


@pytest.mark.timeout(180)
async def test_from_the_install_command_to_events_and_through_every_order(world, tmp_path):
    edr = Edr(2, per_page=20)
    async with ScriptedServer(edr, tmp_path) as server:
        command = await at_work(world, server)
        home = StateDirectory(world.core.home.path.parent / "branch-1")
        assert (await until(lambda: stored(world.core, home)["n"] == 40 or None)) is True
        row = await asyncio.to_thread(world.row, "branch-1")
        assert (row["set_version"], row["local"]) == (1, False)
        assert "deodar_collector_events" in await run(world, "service", "metrics", "branch-1")
        assert row["uptime"] >= 0
        assert row["paired_us"]

        events = json.loads(await run(world, "service", "events", "branch-1", "--json"))
        assert len(world.core.search(events["sql"])) == 40

        # a new version in the running process, nothing fetched twice
        text = await asyncio.to_thread(world.settings, "branch")
        pid = world.children["branch-1"].pid
        await asyncio.to_thread(world.save, "branch", f"{text}max_events = 7\n", "--reload")
        await until(lambda: world.row("branch-1")["set_version"] == 2)
        await server.until(lambda: server.asked[-1].query.get("max_events") == "7")
        assert server.asked[-1].token == "2"
        assert world.children["branch-1"].alive
        assert world.children["branch-1"].pid == pid

        # a version that this host cannot run is refused, and the old one goes on
        bad = text + ABSENT
        await asyncio.to_thread(world.save, "branch", bad, "--reload")
        row = await until(
            lambda: "was refused" in world.row("branch-1")["reason"] and world.row("branch-1")
        )
        assert row["status"] == "yellow"
        assert "/absent/authority.pem" in row["reason"]
        assert (row["set_version"], row["wanted_version"]) == (2, 3)
        await asyncio.to_thread(world.save, "branch", text, "--reload")
        await until(lambda: world.row("branch-1")["status"] == "green")

        # debug at run time, and the log over the core
        assert "debug on=True" not in await asyncio.to_thread(world.log, "branch-1")
        await run(world, "service", "debug", "branch-1", "--on")
        await until(lambda: "siem.connector: answer" in world.log("branch-1"))
        await run(world, "service", "debug", "branch-1", "--off")

        # restart: a new process in the place of the old one
        await until(lambda: world.row("branch-1")["uptime"] >= 1)
        await run(world, "service", "restart", "branch-1")
        await until(lambda: "starting again" in world.children["branch-1"].last_words(500))
        await until(lambda: world.row("branch-1")["status"] == "green")
        assert world.children["branch-1"].alive

        # disabled: it stops, and goes on later
        await run(world, "service", "disable", "branch-1")
        assert (await asyncio.to_thread(world.row, "branch-1"))["status"] == "grey"
        await until(lambda: not world.home("branch-1").socket.exists())
        await run(world, "service", "enable", "branch-1")
        await until(lambda: world.row("branch-1")["status"] == "green")

        # the certificate
        before = world.home("branch-1").read("core-client.pem")
        await run(world, "service", "reset-certificate", "branch-1")
        await until(lambda: world.home("branch-1").read("core-client.pem") != before)
        await until(lambda: world.row("branch-1")["status"] == "green")

        # deleted: it ends with its own exit code, and the command is of no use any more
        await run(world, "service", "delete", "branch-1", "--yes")
        assert await asyncio.to_thread(world.children["branch-1"].wait, 30) == 4
        child = await asyncio.to_thread(world.start, "branch-1", command)
        assert await asyncio.to_thread(child.wait, 30) == 4
        assert stored(world.core, home) == {"n": 40, "ids": 40}


@pytest.mark.timeout(180)
async def test_without_the_core_it_starts_from_its_last_settings_and_buffers(world, tmp_path):
    edr = Edr(4, per_page=20)
    pages, edr.events = edr.events, edr.events[:1]
    async with ScriptedServer(edr, tmp_path) as server:
        command = await at_work(world, server)
        home = StateDirectory(world.core.home.path.parent / "branch-1")
        await until(lambda: stored(world.core, home)["n"] == 20)
        await asyncio.to_thread(world.core.child.stop)
        await asyncio.to_thread(world.children["branch-1"].kill)
        edr.events = pages
        child = await asyncio.to_thread(world.start, "branch-1", command)
        await asyncio.to_thread(child.ready, 60)
        await server.until(lambda: any(map(edr.drained, server.asked)))
        away = "the core does not answer; work goes on without it"
        await until(lambda: away in child.last_words(500))
        await asyncio.to_thread(world.core.child.start)
        await asyncio.to_thread(world.core.child.ready, 60)
        await until(lambda: stored(world.core, home) == {"n": 80, "ids": 80})
        row = await until(
            lambda: world.row("branch-1")["status"] == "green" and world.row("branch-1")
        )
        assert row["set_version"] == 1
        await until(lambda: "the core is back seconds_away=" in world.log("branch-1"))


@pytest.mark.timeout(120)
async def test_a_reset_with_a_new_token_lets_nobody_back_without_it(world, tmp_path):
    async with ScriptedServer(Edr(1, per_page=5), tmp_path) as server:
        await at_work(world, server)
        words = ("service", "reset-certificate", "branch-1", "--new-token", "--json")
        done = json.loads(await run(world, *words))
        child = world.children["branch-1"]
        await until(lambda: "no other certificate" in child.last_words(500))
        await until(lambda: world.row("branch-1")["status"] == "red")
        await asyncio.to_thread(child.stop)
        again = await asyncio.to_thread(world.start, "branch-1", done["command"])
        await asyncio.to_thread(again.ready, 60)
        await until(lambda: world.row("branch-1")["status"] == "green")


@pytest.mark.timeout(120)
async def test_one_of_the_cores_host_is_a_service_too(world, tmp_path):
    async with ScriptedServer(Edr(1, per_page=5), tmp_path) as server:
        home = world.core.collector(server.url, pins=(server.pin,), name="kedr")
        words = f"deodar siem collector run kedr --dir {world.core.home.path}"
        child = await asyncio.to_thread(world.start_own, "kedr", words)
        await asyncio.to_thread(child.ready, 60)
        row = await until(lambda: world.row("kedr")["status"] == "green" and world.row("kedr"))
        assert row["local"]
        text = home.read("collector.toml").decode()
        changed = text.replace("max_events = 0", "max_events = 9")
        home.write("collector.toml", changed.encode())
        await run(world, "service", "reload", "kedr")
        await server.until(lambda: server.asked[-1].query.get("max_events") == "9")
        home.write("collector.toml", b"nonsense")
        await run(world, "service", "reload", "kedr")
        await until(lambda: "settings are refused" in child.last_words(500))
        home.write("collector.toml", changed.encode())
        await run(world, "service", "reset-certificate", "kedr")
        await until(lambda: "another certificate was issued" in child.last_words(500))
        await run(world, "service", "restart", "kedr")
        await until(lambda: "starting again" in child.last_words(500))
        await until(lambda: world.row("kedr")["status"] == "green")
        assert child.alive


def alerts(world: World) -> set[str]:
    return {alert["name"] for alert in world.row("branch-1")["alerts"]}


@pytest.mark.timeout(120)
async def test_conditions_begin_when_they_are_made_and_are_over_when_they_are_not(world, tmp_path):
    """Events that a destination refuses, and one that takes nothing, so that the journal grows."""
    edr = Edr(30, per_page=20)
    edr.events, rest = edr.events[:1], edr.events[1:]
    async with ScriptedServer(edr, tmp_path) as server, Receiver() as receiver:
        await at_work(world, server)
        assert await asyncio.to_thread(alerts, world) == set()
        text = await asyncio.to_thread(world.settings, "branch")
        receiver.answers = [b"400 Bad Request\r\n"] * 10_000
        hook = f'[[destinations]]\nname = "hook"\nkind = "http"\nurls = ["{receiver.url}"]\n'
        await asyncio.to_thread(world.save, "branch", text + hook, "--reload")
        await until(lambda: world.row("branch-1")["set_version"] == 2)
        edr.events += rest[:5]
        lossy = {"Output Event Loss increasing", "Connector log errors increasing"}
        await until(lambda: lossy <= alerts(world))
        assert (
            "were given up or refused" in (await asyncio.to_thread(world.row, "branch-1"))["reason"]
        )
        await until(lambda: not lossy & alerts(world))
        receiver.answers = [b"503 Service Unavailable\r\n"] * 10_000
        edr.events += rest[5:]
        await until(lambda: "Disk buffer size increasing" in alerts(world))
        receiver.answers = []
        await until(lambda: alerts(world) == set(), limit=60)
        trail = [json.loads(line) for line in (await run(world, "audit", "--json")).splitlines()]
        told = [row["details"] for row in trail if row["action"] == "service alert over"]
        assert {*lossy, "Disk buffer size increasing"} <= set(told)


@pytest.mark.root
@pytest.mark.timeout(120)
async def test_a_disk_that_is_almost_full_is_told(world, tmp_path):
    folder = world.home("branch-1").path
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64m", "none", folder)
    await asyncio.to_thread(subprocess.run, mount, check=True)
    try:
        async with ScriptedServer(Edr(1, per_page=5), tmp_path) as server:
            await at_work(world, server)
            fill = folder / "fill"
            fill.write_bytes(b"x" * (58 << 20))
            row = await until(lambda: "Low disk space" in alerts(world) and world.row("branch-1"))
            assert row["status"] == "yellow"
            assert str(folder) in row["reason"]
            fill.unlink()
            await until(lambda: world.row("branch-1")["status"] == "green")
            await asyncio.to_thread(world.children["branch-1"].stop)
    finally:
        words = ("umount", "--lazy", folder)
        await asyncio.to_thread(subprocess.run, words, check=True)
