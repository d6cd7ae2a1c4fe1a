"""What the agent's tests share: settings, a host, a scripted HTTPS server, files that hang."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent import proxies, scripted

from deodar.agent.enrich.host import HostFacts
from deodar.agent.settings import AgentSettings, HashSettings
from deodar.tls.certificates import Pair, issue_server, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.agent.way import Way

HOST = HostFacts("host-1", "Linux", "Debian GNU/Linux 12", "6.1.0", "boot-1", "machine-1")


def wait_for(condition: Callable[[], Any], limit: float = 20.0) -> Any:
    """Return what the condition gives as soon as it is true; fail after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def settings() -> AgentSettings:
    # On a busy host the hash process, of the lowest priority, takes its time.
    return AgentSettings(agent_id=scripted.AGENT_ID, hashes=HashSettings(maximum_wait=30))


@pytest.fixture
def context(settings: AgentSettings) -> Iterator[Any]:
    from deodar.agent.enrich import converters
    from deodar.agent.enrich.context import Context

    assert converters.MODULES  # all have entered themselves, also for a test that runs alone
    made = Context(
        settings,
        HOST,
        version="1.2.3",
        sensor_tier="bpf",
        server=lambda: "127.0.0.1:9443",
    )
    yield made
    made.close()


@pytest.fixture(scope="session")
def steps() -> SimpleNamespace:
    """What a script is made of."""
    return SimpleNamespace(**vars(scripted))


@pytest.fixture(scope="session")
def authority() -> Pair:
    return make_authority("test authority")


@pytest.fixture
def server(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[scripted.Server]:
    script = scripted.Server(authority, issue_server(authority, ["127.0.0.1"]))
    scripted.start(script, tmp_path_factory.mktemp("server"))
    yield script
    script.cut_port()


@pytest.fixture
def tinyproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[proxies.RunningProxy]:
    proxy = proxies.tinyproxy(tmp_path_factory.mktemp("proxy"))
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def tinyproxy_with_password(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[proxies.RunningProxy]:
    proxy = proxies.tinyproxy(tmp_path_factory.mktemp("proxy"), credentials=True)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def squid() -> Iterator[proxies.RunningProxy]:
    """Return a squid whose user is ``agent`` with the password ``p%a:s @``."""
    # The folders of pytest are closed to the account that squid runs as.
    with tempfile.TemporaryDirectory(prefix="deodar-squid-") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        proxy = proxies.squid(folder, user="agent", password="p%a:s @")
        proxy.start()
        yield proxy
        proxy.stop()


@pytest.fixture
def make_way(tmp_path: Path, server: scripted.Server) -> Iterator[Callable[..., Way]]:
    """Return a maker of spools with uplinks to the scripted server."""
    from tests.agent.way import Way

    made: list[Way] = []

    def build(**options: Any) -> Way:
        way = Way(tmp_path / f"agent-{len(made)}", server, **options)
        made.append(way)
        return way

    yield build
    for way in made:
        way.driver.stop(5)
        way.spool.close()


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a file system in user space; see `hashing/fuse.py`."""
    folder = tmp_path / "hanging"
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("hashing") / "fuse.py"), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == b"mounted\n"
        yield folder
        server.stdin.close()
        server.wait(20)
