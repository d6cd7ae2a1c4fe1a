from __future__ import annotations

import resource
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deodar.agent.control.client import ControlClient, ControlError, ControlRefused, NotRunning
from deodar.agent.control.protocol import Stream
from deodar.agent.control.server import CONNECTIONS, ControlServer
from deodar.agent.journal.query import parse
from deodar.agent.journal.record import as_dict
from deodar.agent.journal.store import EventStore
from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.agent.control.conftest import Commands


def switches(thread: threading.Thread) -> int:
    """Return how often a thread was woken and slept again."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_the_socket_is_for_its_owner_and_goes_with_the_server(
    path: Path, commands: Commands
) -> None:
    server = ControlServer(path, commands.handlers())
    server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ControlClient(path).call("echo", a=1) == {"a": 1}
    server.stop()
    server.stop()
    assert not path.exists()
    with pytest.raises(NotRunning):
        ControlClient(path).call("echo")


def test_the_socket_of_a_killed_agent_is_replaced(path: Path, commands: Commands) -> None:
    program = (
        "import socket, sys, os, signal; s = socket.socket(socket.AF_UNIX); "
        "s.bind(sys.argv[1]); s.listen(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == -9
    assert path.is_socket()
    server = ControlServer(path, commands.handlers())
    server.start()
    assert ControlClient(path).call("nothing") is None
    server.stop()


def test_a_second_agent_is_refused_and_the_first_goes_on(
    server: ControlServer, path: Path, commands: Commands
) -> None:
    second = ControlServer(path, commands.handlers())
    with pytest.raises(DeodarError, match="another running program listens"):
        second.start()
    second.stop()
    assert ControlClient(path).call("nothing") is None


def test_another_file_in_its_place_is_left_alone(path: Path, commands: Commands) -> None:
    path.write_text("mine")
    with pytest.raises(DeodarError, match="is no socket"):
        ControlServer(path, commands.handlers()).start()
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error(path: Path, commands: Commands) -> None:
    before = descriptors()
    with pytest.raises(DeodarError, match="cannot make the socket"):
        ControlServer(path.parent / "absent" / "control.sock", commands.handlers()).start()
    assert descriptors() <= before


def test_a_long_path_serves_as_well(tmp_path: Path, commands: Commands) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    server = ControlServer(folder / "control.sock", commands.handlers())
    server.start()
    assert ControlClient(folder / "control.sock").call("nothing") is None
    server.stop()
    assert list(folder.iterdir()) == []


def test_many_at_once(server: ControlServer, path: Path) -> None:
    results: list[object] = []

    def call(number: int) -> None:
        client = ControlClient(path)
        expected = {"number": number}
        results.extend(client.call("echo", **expected) == expected for _ in range(20))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(CONNECTIONS // 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * (20 * CONNECTIONS // 2)
    wait_for(lambda: not server._open)


def test_too_many_at_once_are_told_so(
    server: ControlServer, path: Path, connected: Callable[[], socket.socket]
) -> None:
    held = [connected() for _ in range(CONNECTIONS)]
    wait_for(lambda: len(server._open) == CONNECTIONS)
    with pytest.raises(ControlRefused, match="busy with 16 commands") as caught:
        ControlClient(path).call("nothing")
    assert caught.value.exit_code == 65
    for connection in held:
        connection.close()
    wait_for(lambda: not server._open)
    assert ControlClient(path).call("nothing") is None


def test_descriptors_and_threads_come_back(server: ControlServer, path: Path) -> None:
    client = ControlClient(path)
    client.call("nothing")
    wait_for(lambda: not server._open)
    files, threads = descriptors(), threading.active_count()
    for _ in range(100):
        client.call("echo", a=1)
        stream = client.stream("count", to=1000)
        next(stream)
        stream.close()
    wait_for(lambda: not server._open)
    wait_for(lambda: descriptors() <= files + 2)
    wait_for(lambda: threading.active_count() <= threads + 2)


def test_nothing_wakes_while_nothing_happens(server: ControlServer, path: Path) -> None:
    ControlClient(path).call("nothing")
    wait_for(lambda: not server._open)
    thread = server._thread
    assert thread is not None
    time.sleep(0.3)
    before = switches(thread)
    time.sleep(1.5)
    assert switches(thread) == before


def test_a_half_closed_reader_of_a_silent_stream_wakes_nobody(
    server: ControlServer, connected: Callable[[], socket.socket], commands: Commands
) -> None:
    connection = connected()
    connection.sendall(b'{"call":"silent"}\n')
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(100)
    assert commands.begun.wait(5)
    (thread,) = [thread for _, _, thread in server._open.values()]
    time.sleep(0.3)
    assert server._thread is not None
    before = switches(server._thread), switches(thread)
    time.sleep(1.0)
    assert (switches(server._thread), switches(thread)) == before


def test_stopping_ends_streams_and_says_why(
    server: ControlServer, path: Path, commands: Commands
) -> None:
    client = ControlClient(path)
    silent, endless = client.stream("silent"), client.stream("endless")
    assert (next(silent), next(endless)) == ("begin", 0)
    assert commands.begun.wait(5)
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 5
    with pytest.raises(ControlRefused, match="the agent was stopped") as caught:
        next(silent)
    assert caught.value.exit_code == 64
    with pytest.raises(ControlRefused, match="the agent was stopped"):
        list(endless)
    assert not path.exists()


def test_stopping_lets_a_command_at_work_end(
    server: ControlServer, path: Path, commands: Commands
) -> None:
    results: list[object] = []
    asking = threading.Thread(target=lambda: results.append(ControlClient(path).call("wait")))
    asking.start()
    assert commands.begun.wait(5)
    threading.Timer(0.3, commands.go_on.set).start()
    server.stop()
    asking.join(5)
    assert results == ["done"]


def test_stopping_waits_for_no_command_for_ever(
    server: ControlServer, path: Path, commands: Commands, connected: Callable[[], socket.socket]
) -> None:
    idle = connected()
    results: list[str] = []

    def ask() -> None:
        try:
            ControlClient(path).call("wait")
        except ControlError as error:
            results.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    assert commands.begun.wait(5)
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 6
    asking.join(5)
    assert results == ["the agent ended the conversation without an answer; see its log"]
    assert idle.recv(1) == b""


def test_events_are_followed_over_the_socket(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")

    def follow(arguments: dict[str, str]) -> Stream:
        follower = store.follow(parse(arguments["query"]))
        return Stream((as_dict(record) for record in follower), follower.close)

    server = ControlServer(tmp_path / "control.sock", {"events.follow": follow})
    server.start()
    items = ControlClient(tmp_path / "control.sock").stream("events.follow", query="Name == 'b'")
    found: list[dict[str, object]] = []
    reading = threading.Thread(target=lambda: found.append(next(items)))
    reading.start()
    wait_for(lambda: store._followers)
    store.add("TaskStateChanged", name="a")
    store.add("TaskStateChanged", name="b")
    reading.join(5)
    assert [(item["EventId"], item["Name"]) for item in found] == [(2, "b")]
    items.close()
    wait_for(lambda: not store._followers)
    server.stop()
    store.close()


def test_a_lack_of_descriptors_passes(server: ControlServer, path: Path) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, old[1]))
    try:
        connection.connect(str(path))
        connection.sendall(b'{"call":"nothing"}\n')
        time.sleep(0.3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
    assert connection.recv(100) == b'{"result":null}\n'
    connection.close()
    assert server.failure == ""


WITHOUT_THREADS = """
import resource, sys
from pathlib import Path
from deodar.agent.control.server import ControlServer
server = ControlServer(Path(sys.argv[1]), {"nothing": lambda _: None})
server.start()
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + 2**20, limit[1]))
print("small", flush=True)
sys.stdin.readline()
resource.setrlimit(resource.RLIMIT_AS, limit)
print("large", flush=True)
sys.stdin.readline()
server.stop()
"""


def test_a_lack_of_memory_for_a_thread_passes(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_THREADS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "small\n"
    with pytest.raises(ControlError, match="ended the conversation without an answer"):
        ControlClient(path).call("nothing")
    assert "a connection could not be served" in child.stdout.readline()
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "large\n"
    assert ControlClient(path).call("nothing") is None
    child.communicate("\n", timeout=20)
    assert child.returncode == 0
