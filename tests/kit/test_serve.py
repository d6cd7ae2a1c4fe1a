from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from deodar.kit.serve import Bound, Endpoint, ServeError, serve


async def hello(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    certificate = scope["client_certificate"]
    body = json.dumps(
        {"path": scope["path"], "certificate": certificate, "client": scope["client"]}
    )
    await _send(send, 200, body.encode())


async def _send(send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def waiting(begun: asyncio.Event, *, watch: bool):
    """A long poll; with `watch` it looks at the stop, as it should."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        begun.set()
        stop = scope["state"]["stop"]
        await (stop.wait() if watch else asyncio.sleep(60))
        await _send(send, 200, b"watched")

    return app


async def _get(url: str, **options) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20, **options) as client:
        return await client.get(url)


async def test_several_listeners_share_one_loop_and_tell_their_real_ports(start, tmp_path):
    path = tmp_path / "control.sock"
    endpoints = [Endpoint(hello), Endpoint(hello, host="::1"), Endpoint(hello, path=path)]
    (four, six, unix), _, _ = await start(endpoints)
    assert four.port not in (0, six.port)
    assert four == Bound("127.0.0.1", four.port)
    assert (four.url, six.url) == (f"http://127.0.0.1:{four.port}", f"http://[::1]:{six.port}")
    assert (unix.port, unix.path, unix.url) == (0, path, f"unix:{path}")
    for url in (four.url, six.url):
        assert (await _get(url + "/a%20b")).json()["path"] == "/a b"
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    told = (await _get("http://local/x", transport=transport)).json()
    assert told == {"path": "/x", "certificate": None, "client": None}


async def test_answers_carry_a_date_and_no_word_of_the_servers_software(start):
    (bound,), _, _ = await start([Endpoint(hello)])
    headers = (await _get(bound.url)).headers
    assert headers["date"].endswith(" GMT")
    assert "server" not in headers


async def test_forwarding_headers_are_not_believed(start):
    (bound,), _, _ = await start([Endpoint(hello)])
    answer = await _get(
        bound.url, headers={"x-forwarded-for": "6.6.6.6", "forwarded": "for=6.6.6.6"}
    )
    assert answer.json()["client"][0] == "127.0.0.1"


async def test_nothing_listens_after_the_end(start, tmp_path):
    path = tmp_path / "s"
    (bound, _), stop, running = await start([Endpoint(hello), Endpoint(hello, path=path)])
    stop.set()
    await asyncio.wait_for(running, 10)
    assert not path.exists()
    with socket.socket() as probe:
        assert probe.connect_ex((bound.host, bound.port)) != 0


async def test_a_long_poll_that_watches_the_stop_ends_well(start):
    begun = asyncio.Event()
    (bound,), stop, running = await start([Endpoint(waiting(begun, watch=True))], grace=20)
    poll = asyncio.create_task(_get(bound.url))
    await asyncio.wait_for(begun.wait(), 10)
    stop.set()
    answer = await asyncio.wait_for(poll, 5)
    assert (answer.status_code, answer.text) == (200, "watched")
    await asyncio.wait_for(running, 5)


async def test_a_long_poll_that_does_not_watch_is_answered_503_after_the_grace(start):
    begun = asyncio.Event()
    (bound,), stop, running = await start([Endpoint(waiting(begun, watch=False))], grace=0.3)
    poll = asyncio.create_task(_get(bound.url))
    await asyncio.wait_for(begun.wait(), 10)
    stop.set()
    answer = await asyncio.wait_for(poll, 5)
    assert (answer.status_code, answer.headers["connection"]) == (503, "close")
    await asyncio.wait_for(running, 5)


async def test_an_answer_that_has_begun_is_cut_off_after_the_grace(start):
    async def endless(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.01)

    (bound,), stop, running = await start([Endpoint(endless)], grace=0.2)
    async with httpx.AsyncClient() as client, client.stream("GET", bound.url) as answer:
        parts = answer.aiter_bytes()
        await anext(parts)
        stop.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await _exhaust(parts)
    await asyncio.wait_for(running, 5)


async def _exhaust(parts) -> None:
    async for _ in parts:
        pass


async def test_idle_connections_do_not_hold_up_the_stop(start):
    (bound,), stop, running = await start([Endpoint(hello)], grace=20)
    async with httpx.AsyncClient() as client:
        await client.get(bound.url)
        stop.set()
        await asyncio.wait_for(running, 3)


async def test_an_error_in_an_application_is_a_500_and_is_logged(start, capsys):
    async def broken(scope, receive, send):
        if scope["type"] == "http":
            raise ZeroDivisionError("in the application")

    (bound,), _, _ = await start([Endpoint(broken)])
    assert (await _get(bound.url)).status_code == 500
    assert (await _get(bound.url)).status_code == 500
    captured = capsys.readouterr()
    assert "ZeroDivisionError" in captured.out + captured.err


async def test_requests_are_not_logged(start, capsys):
    (bound,), _, _ = await start([Endpoint(hello)])
    await _get(bound.url)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


async def test_an_applications_lifespan_runs_once_and_its_state_reaches_requests(start, tmp_path):
    seen = []

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        seen.append("begin")
        yield {"engine": "ready"}
        seen.append("end")

    async def show(request):
        assert not request.state.stop.is_set()
        return PlainTextResponse(request.state.engine)

    app = Starlette(routes=[Route("/", show)], lifespan=lifespan)
    endpoints = [Endpoint(app), Endpoint(app), Endpoint(app, path=tmp_path / "s")]
    (one, two, _), stop, running = await start(endpoints)
    assert (await _get(one.url)).text == (await _get(two.url)).text == "ready"
    stop.set()
    await asyncio.wait_for(running, 10)
    assert seen == ["begin", "end"]


async def test_an_application_that_fails_to_start_is_an_error(start):
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        raise RuntimeError("no database")
        yield

    with pytest.raises(ServeError, match="failed to start"):
        await start([Endpoint(Starlette(lifespan=lifespan))])


async def test_a_taken_port_is_told_and_nothing_stays_open(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1, port {port}: Address"):
            await start([Endpoint(hello, path=tmp_path / "s"), Endpoint(hello, port=port)])
    assert not (tmp_path / "s").exists()


async def test_a_failure_when_ready_closes_everything():
    bounds: list[Bound] = []

    def fail(bound):
        bounds.extend(bound)
        raise OSError("nobody reads the ready line")

    with pytest.raises(OSError, match="ready line"):
        await asyncio.wait_for(serve([Endpoint(hello)], stop=asyncio.Event(), on_ready=fail), 10)
    with socket.socket() as probe:
        assert probe.connect_ex((bounds[0].host, bounds[0].port)) != 0


async def test_a_stop_that_was_set_before_ends_at_once():
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(serve([Endpoint(hello)], stop=stop), 5)


# As a process of its own

PROGRAM = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from deodar.kit.serve import Endpoint, serve

    async def app(scope, receive, send):
        if scope["type"] == "http":
            print("request", flush=True)
            await asyncio.sleep(60 if scope["path"] == "/poll" else 0)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

    async def main():
        stop = asyncio.Event()
        path = Path(sys.argv[1])
        await serve([Endpoint(app), Endpoint(app, path=path)], stop=stop, grace=float(sys.argv[2]),
                    on_ready=lambda bound: print(bound[0].url, flush=True))
        print("ended", stop.is_set(), flush=True)

    asyncio.run(main())
""")


def _program(path: Path, grace: float) -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", PROGRAM, path, str(grace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_program_cleanly(tmp_path, number):
    child, url = _program(tmp_path / "s", 5)
    assert httpx.get(url).text == "ok"
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (0, "request\nended True\n"), err
    assert "Traceback" not in err
    assert not (tmp_path / "s").exists()


def test_a_second_signal_ends_the_grace(tmp_path):
    child, url = _program(tmp_path / "s", 50)
    curl = subprocess.Popen(
        ["curl", "-s", "-m", "30", "-w", "%{http_code}", url + "/poll"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "request\n"
    child.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.7)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=10)
    assert child.returncode == 0, err
    assert out.endswith("ended True\n")
    assert curl.communicate(timeout=10)[0].endswith(b"503")


def test_a_killed_programs_socket_is_taken_over(tmp_path):
    child, _ = _program(tmp_path / "s", 5)
    child.kill()
    child.communicate(timeout=10)
    assert (tmp_path / "s").exists()
    child, _ = _program(tmp_path / "s", 5)
    transport = httpx.HTTPTransport(uds=str(tmp_path / "s"))
    with httpx.Client(transport=transport) as client:
        assert client.get("http://local/").text == "ok"
    child.terminate()
    child.communicate(timeout=10)
