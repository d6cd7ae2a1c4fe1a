"""The settings of the task KATAEDR and of the proxy: what each of them does to a real uplink."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent import scripted
from tests.agent.way import HOUR, Simulated

from deodar.agent import servers
from deodar.agent.answers import NoAnswer, Trouble
from deodar.agent.certificates import Certificates
from deodar.agent.connection import ConnectionSettings, Ways
from deodar.agent.integration import Integration
from deodar.agent.loss import LossBook
from deodar.agent.settings import AgentSettings
from deodar.agent.tasks.store import SettingsStore
from deodar.kit.directory import StateDirectory
from deodar.tls.certificates import issue_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.agent.proxies import RunningProxy
    from tests.agent.way import Way

Saw = Callable[[str, str], None] if TYPE_CHECKING else Any


class Settings:
    """The agent's real settings, and the connection that they make."""

    def __init__(self, server: Any, folder: Path) -> None:
        directory: StateDirectory = server.enrol(folder)
        self.store = SettingsStore(directory)
        self.store.change("KATAEDR", {"EventTransferSettings": {"MaximumDataTransferTime": 0.02}})
        self._integration = Integration(
            directory,
            AgentSettings(agent_id=scripted.AGENT_ID),
            self.store,
            Certificates(directory),
            None,  # type: ignore[arg-type]  # no uplink is started by it
            LossBook(),
            report=dict,
            on_policy=lambda _: None,
            notify=lambda *_: None,
        )

    def connection(self, **values: Any) -> ConnectionSettings:
        """Return the connection after these values of KATAEDR were changed."""
        if values:
            self.store.change("KATAEDR", values)
        return self._integration.connection()

    def proxied(self, **values: Any) -> ConnectionSettings:
        """Return the connection after these general settings were changed."""
        self.store.change("Application", values)
        return self._integration.connection()


@pytest.fixture
def task(server: Any, tmp_path: Path) -> Settings:
    return Settings(server, tmp_path / "settings")


@pytest.fixture
def second(server: Any, tmp_path: Path) -> Iterator[scripted.Server]:
    """Another server of the same installation."""
    folder = tmp_path / "second"
    folder.mkdir()
    other = scripted.Server(
        server.authority, issue_server(server.authority, ["127.0.0.1"]), log=server.log
    )
    scripted.start(other, folder)
    yield other
    other.cut_port()


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of something that accepts connections and says nothing."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(8)
        yield port.getsockname()[1]


def endpoint(server: Any) -> dict[str, Any]:
    return {"Address": server.address[0], "Port": server.address[1]}


@pytest.mark.setting("KATAEDR.ConnectionTimeout")
def test_connection_timeout_ends_the_wait_for_a_connection(
    make_way: Callable[..., Way],
    task: Settings,
    silent: int,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    seconds = {}
    for limit in (0.5, 1.5):
        there = [{"Address": "127.0.0.1", "Port": silent}]
        way = make_way(settings=task.connection(Endpoints=there, ConnectionTimeout=limit))
        started = time.monotonic()
        way.driver.start()
        until(lambda way=way: way.driver.counters.failures)
        seconds[limit] = time.monotonic() - started
        assert f"longer than {limit} s (ConnectionTimeout)" in way.driver.machine.problem
    assert 0.45 < seconds[0.5] < 1.3
    assert 1.45 < seconds[1.5] < 2.3
    saw(
        "KATAEDR.ConnectionTimeout",
        f"0.5 s: given up after {seconds[0.5]:.2f} s; 1.5 s: after {seconds[1.5]:.2f} s",
    )


@pytest.mark.setting("KATAEDR.RequestTimeout")
def test_request_timeout_ends_the_wait_for_the_whole_answer(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    server.sync_script.append(scripted.Trickle(0.2))  # a byte now and then, for 30 s
    way = make_way(settings=task.connection(RequestTimeout=1.0))
    started = time.monotonic()
    way.driver.start()
    until(lambda: way.driver.counters.failures)
    seconds = time.monotonic() - started
    until(lambda: way.news)
    assert "within 1 s (RequestTimeout)" in way.news[0][1]["problem"]
    assert 0.95 < seconds < 1.8
    way.put(1)
    until(way.is_empty)
    saw(
        "KATAEDR.RequestTimeout",
        f"1 s, with an answer that came byte by byte: given up after {seconds:.2f} s, "
        "tried again and delivered",
    )


@pytest.mark.setting("KATAEDR.SynchronizationPeriod")
def test_synchronization_period_is_the_time_between_two(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    saw: Saw,
) -> None:
    seen = {}
    for minutes in (5, 20):
        time_of = Simulated()
        settings = task.connection(SynchronizationPeriod=minutes, EnableTelemetry=False)
        way = make_way(settings=settings, clock=time_of.clock, wait=time_of.wait)
        before = len(server.syncs)
        way.driver.start()
        assert time_of.over.wait(20)
        seen[minutes] = len(server.syncs) - before
        way.driver.stop(0.1)
        time_of.mended.set()
    assert seen == {5: HOUR // 300, 20: 3}
    saw(
        "KATAEDR.SynchronizationPeriod",
        f"5 minutes: {seen[5]} synchronizations in an hour of simulated time; "
        f"20 minutes: {seen[20]}",
    )


@pytest.mark.setting("KATAEDR.Endpoints")
def test_servers_are_tried_in_their_order(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    second: Any,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    settings = task.connection(Endpoints=[endpoint(server), endpoint(second)])
    way = make_way(settings=settings)
    first, other = settings.names
    way.driver.start()
    way.put(2)
    until(way.is_empty)
    assert (server.requests, second.requests) == (1, 0)
    server.cut_port()
    started = time.monotonic()
    way.put(2)
    until(way.is_empty)
    moved = time.monotonic() - started
    assert moved < 1
    assert (way.driver.server, second.requests) == (other, 1)
    server.open_port()
    way.put(2)
    until(way.is_empty)
    assert way.driver.server == other  # it stays until the next synchronization
    way.driver.sync_now()
    until(lambda: way.driver.server == first)
    way.put(2)
    until(way.is_empty)
    assert server.ids() == way.sent
    told = [(event_type, details["server"]) for event_type, details in way.news]
    assert told == [
        ("ServerConnected", first),
        ("ServerUnavailable", first),
        ("ServerConnected", other),
        ("ServerConnected", first),
    ]
    saw(
        "KATAEDR.Endpoints",
        f"first server down: all events with the second one within {moved:.2f} s; first server "
        "back: used again from the next synchronization on; each event once and in order",
    )


@pytest.mark.setting("KATAEDR.Endpoints.Port")
@pytest.mark.setting("KATAEDR.Endpoints.Address")
def test_address_and_port_say_where_the_server_is(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    saw: Saw,
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "BACKOFF_FIRST", 600)
    monkeypatch.setattr(servers, "BACKOFF_LIMIT", 600)
    wrong = [{"Address": "127.0.0.1", "Port": 1}]
    way = make_way(settings=task.connection(Endpoints=wrong))
    way.put(1)
    way.driver.start()
    until(lambda: way.driver.counters.failures)
    assert "127.0.0.1:1 could not be reached" in way.driver.machine.problem
    way.driver.configure(task.connection(Endpoints=[endpoint(server)]))
    until(way.is_empty, 5)
    there = [{"Address": "127.0.0.2", "Port": server.address[1]}]
    way.driver.configure(task.connection(Endpoints=there))
    until(lambda: "127.0.0.2" in way.driver.machine.problem)
    named = [{"Address": "localhost", "Port": server.address[1]}]
    way.driver.configure(task.connection(Endpoints=named))
    way.put(1)
    until(way.is_empty, 5)
    saw("KATAEDR.Endpoints.Port", "port 1: refused and told; the right one: delivered at once")
    saw(
        "KATAEDR.Endpoints.Address",
        "127.0.0.2, where nothing listens: refused and told; 127.0.0.1 and localhost: delivered",
    )


@pytest.mark.setting("KATAEDR.UseClientPinnedCertificate")
def test_client_certificate_is_shown_only_when_it_shall_be(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    way = make_way(settings=task.connection(UseClientPinnedCertificate=False))
    way.put(1)
    way.driver.start()
    until(lambda: way.news)
    assert way.kinds() == ["ServerRefused"]
    assert "HTTP 401" in way.driver.machine.problem
    assert "UseClientPinnedCertificate=Yes" in way.driver.machine.problem
    assert not way.is_empty()
    way.driver.configure(task.connection(UseClientPinnedCertificate=True))
    until(way.is_empty, 5)
    saw(
        "KATAEDR.UseClientPinnedCertificate",
        "No: no certificate is shown, the server refuses with HTTP 401, and events wait; "
        "Yes: delivered at once",
    )


@pytest.mark.setting("KATAEDR.EnableTelemetry")
def test_without_telemetry_synchronization_goes_on(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    way = make_way(settings=task.connection(EnableTelemetry=False))
    way.put(3)
    way.driver.start()
    until(lambda: server.syncs)
    way.driver.sync_now()
    until(lambda: len(server.syncs) == 2)
    assert server.requests == 0
    assert not way.is_empty()
    way.driver.configure(task.connection(EnableTelemetry=True))
    until(way.is_empty)
    assert server.ids() == way.sent
    saw(
        "KATAEDR.EnableTelemetry",
        "No: 2 synchronizations and no request with events; Yes: what waited is delivered",
    )


@pytest.mark.setting("KATAEDR.EventTransferSettings.MaximumDataTransferTime")
def test_event_waits_for_others_no_longer_than_it_may(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    settings = task.connection(EventTransferSettings={"MaximumDataTransferTime": 1.5})
    way = make_way(settings=settings)
    way.driver.start()
    until(lambda: server.syncs)
    started = time.monotonic()
    way.put(1)
    time.sleep(0.5)
    way.put(1)
    until(way.is_empty)
    waited = server.arrivals[0] - started
    assert server.requests == 1  # the second event went with the first
    assert 1.4 < waited < 2.1
    shorter = task.connection(EventTransferSettings={"MaximumDataTransferTime": 0.2})
    way.driver.configure(shorter)
    started = time.monotonic()
    way.put(1)
    until(way.is_empty)
    quick = server.arrivals[1] - started
    assert quick < 0.8
    saw(
        "KATAEDR.MaximumDataTransferTime",
        f"1.5 s: an event was with the server after {waited:.2f} s, together with one that came "
        f"0.5 s later; 0.2 s: after {quick:.2f} s",
    )


@pytest.mark.setting("Application.UseProxy")
@pytest.mark.setting("Application.ProxyServer")
def test_proxy_is_used_when_it_shall_be(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    tinyproxy: RunningProxy,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    way = make_way(settings=task.proxied(UseProxy=True, ProxyServer=tinyproxy.place))
    way.put(2)
    way.driver.start()
    until(way.is_empty)
    through = tinyproxy.tunnels()
    assert through == 1
    way.driver.configure(task.proxied(UseProxy=False))
    way.put(2)
    until(way.is_empty)
    assert tinyproxy.tunnels() == through
    assert server.connections == 2
    saw("Application.UseProxy", "Yes: events come by way of tinyproxy; No: directly")
    saw("Application.ProxyServer", f"the address of a tinyproxy: {through} tunnel for all requests")


@pytest.mark.setting("Application.ProxyServer")
def test_proxy_with_a_password_needs_the_right_one(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    tinyproxy_with_password: RunningProxy,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    place = tinyproxy_with_password.place
    way = make_way(settings=task.proxied(UseProxy=True, ProxyServer=place))
    way.put(2)
    way.driver.start()
    until(lambda: way.driver.machine.problem)
    assert "asks for a user's name and password (HTTP 407)" in way.driver.machine.problem
    way.driver.configure(task.proxied(ProxyServer=f"agent:wrongword@{place}"))
    until(lambda: "does not accept the password of agent" in problem(way))
    assert "wrongword" not in f"{way.driver.machine.problem} {way.news}"
    way.driver.configure(task.proxied(ProxyServer=f"agent:plainword@{place}"))
    until(way.is_empty)
    assert server.ids() == way.sent
    assert way.kinds() == ["ServerUnavailable", "ServerConnected"]
    saw(
        "Application.ProxyServer",
        "tinyproxy with a password: without it, or with a wrong one, the refusal is told and "
        "events wait; with it they are delivered",
    )


@pytest.mark.setting("Application.ProxyServer")
def test_squid_with_a_password_of_any_characters(
    make_way: Callable[..., Way],
    task: Settings,
    server: Any,
    squid: RunningProxy,
    saw: Saw,
    until: Callable[..., Any],
) -> None:
    way = make_way(settings=task.proxied(UseProxy=True, ProxyServer=f"agent:no@{squid.place}"))
    way.put(2)
    way.driver.start()
    until(lambda: "does not accept the password of agent (HTTP 407)" in problem(way))
    way.driver.configure(task.proxied(ProxyServer=f"agent:p%25a:s%20@@{squid.place}"))
    until(way.is_empty)
    assert server.ids() == way.sent
    way.driver.configure(task.proxied(UseProxy=False))  # squid logs a tunnel when it ends
    until(squid.tunnels)
    saw("Application.ProxyServer", "squid with a password of `%`, `:`, a blank and `@`: delivered")


def problem(way: Way) -> str:
    text: str = way.driver.machine.problem
    return text


def test_there_is_no_way_without_a_certificate_for_the_server() -> None:
    ways = Ways()
    with pytest.raises(NoAnswer, match="deodar agent certificate server add") as caught:
        ways.to(0)
    assert caught.value.fault.trouble is Trouble.CERTIFICATE
    ways.configure(ConnectionSettings(servers=(("h", 1),), context_problem="it is damaged"))
    with pytest.raises(NoAnswer, match="it is damaged"):
        ways.to(0)
    ways.abort()
    ways.close()


def test_connection_is_kept_for_one_server_at_a_time(server: Any) -> None:
    ways = Ways()
    places = (server.address, ("::1", 9))
    settings = ConnectionSettings(servers=places, context=server.context())
    ways.configure(settings)
    first = ways.to(0)
    assert ways.to(0) is first
    assert ways.to(1) is not first
    assert ways.to(0) is not first
    assert settings.names == [f"127.0.0.1:{places[0][1]}", "[::1]:9"]
