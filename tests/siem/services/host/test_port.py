"""The API port with a control socket behind it, asked by the core and by others."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.siem.conftest import free_port
from tests.siem.services.conftest import paired, report

from deodar.kit.directory import StateDirectory
from deodar.kit.serve import Endpoint, serve
from deodar.siem.errors import ServiceUnreachable
from deodar.siem.services.asking import ask
from deodar.siem.services.host.port import keep_open
from deodar.siem.services.wire import Host
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client


@pytest.fixture
def folder(known, service, tmp_path):
    given, key = paired(known, "branch-1")
    home = StateDirectory.create(tmp_path / "host")
    home.write_secret("core-client.pem", key + given.certificate)
    home.write("core-authority.pem", known.home.read("authority.pem"))
    return home


@contextlib.asynccontextmanager
async def open_port(folder, port):
    async def metrics(_request):
        return PlainTextResponse("deodar_collector_events 1.0\n")

    stop, ready = asyncio.Event(), asyncio.Event()
    app = Starlette(routes=[Route("/metrics", metrics)])
    control = asyncio.create_task(
        serve([Endpoint(app, path=folder.socket)], stop=stop, on_ready=lambda _: ready.set())
    )
    await ready.wait()
    task = asyncio.create_task(keep_open(folder, port, stop))
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                await asyncio.sleep(0.02)
        yield
    finally:
        stop.set()
        await asyncio.wait({control, task}, timeout=10)


async def test_the_core_is_answered_and_others_are_not(known, service, folder):
    port = free_port()
    told = report(host=Host("h", "1", port))
    mine = msgspec.structs.replace(service, report=told, address="127.0.0.1")
    async with open_port(folder, port):
        answer = await asyncio.to_thread(ask, known.home, mine, "metrics")
        assert answer.text == "deodar_collector_events 1.0\n"
        with pytest.raises(ServiceUnreachable, match="404"):
            await asyncio.to_thread(ask, known.home, mine, "absent")
        other = load_pair(folder.read("core-client.pem"))
        for pair, told in ((other, "only the core"), (None, "certificate is needed")):
            context = pinned_client(folder.read("core-authority.pem"), pair)
            async with httpx.AsyncClient(verify=context) as client:
                refused = await client.get(f"https://127.0.0.1:{port}/metrics")
            assert refused.status_code == 403
            assert told in refused.text
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            async with httpx.AsyncClient() as client:
                await client.get(f"https://127.0.0.1:{port}/metrics")


async def test_a_port_that_is_taken_hinders_nothing(folder):
    port, stop = free_port(), asyncio.Event()
    taken = await asyncio.start_server(lambda *_: None, "::", port)
    task = asyncio.create_task(keep_open(folder, port, stop))
    done, _ = await asyncio.wait({task}, timeout=0.5)
    assert not done
    stop.set()
    async with asyncio.timeout(10):
        await task
    taken.close()
