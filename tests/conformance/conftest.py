from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.script import Script
from tests.edr.conftest import (  # noqa: F401  # fixtures
    Process,
    engine,
    enrolled,
    installation,
    settings,
)

from deodar.edr import installation as installations
from deodar.edr.enrolment import Endpoints
from deodar.edr.external_systems import Register
from deodar.edr.live_settings import SettingsStore
from deodar.edr.settings import EdrSettings
from deodar.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.database import Database


class Kata:
    """A server in a process of its own, with an agent that sends events and an administrator."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.installation = process.installation
        self.url = process.start()
        self.authority = self.installation.directory.path / "authority.pem"
        self.database: Database = self.installation.database()
        self.register = Register(self.database, self.installation.settings.external_systems)
        self.settings = SettingsStore(self.database, self.installation.settings)
        self.pem = folder / "client.pem"
        self.pem.write_bytes(certificates.self_signed("client").pem)
        token = Endpoints(self.database).invite(self.url, self.installation.pin, 600).token
        agent = folder / "agent.pem"
        agent.write_bytes(enrolled(self.installation, token, self.url).pem)
        self._agent = Script(self.url, self.authority, agent, "agent")
        self._packets = itertools.count(1)

    @property
    def log(self) -> str:
        return self.process.log

    def script(self, name: str = "", pem: Path | None = None, **more: Any) -> Script:
        """Return an external system that has not asked yet."""
        return Script(self.url, self.authority, pem or self.pem, name or str(uuid.uuid4()), **more)

    def accepted(self, name: str = "", pem: Path | None = None, **more: Any) -> Script:
        """Return an external system that the administrator has accepted."""
        made = self.script(name, pem, **more)
        return self.accept(made)

    def accept(self, script: Script) -> Script:
        assert script.get().status == 401
        (row,) = [row for row in self.register.list("pending") if row.ip == script.ip]
        self.register.accept(str(row.number))
        return script

    def put(self, *events: dict[str, Any]) -> dict[str, Any]:
        """Let the agent send events; they are in the log when this returns."""
        lines = [{"EventType": "process", **event} for event in events]
        body = "\n".join(json.dumps(line) for line in lines).encode()
        headers = {"Deodar-Spool": "conformance", "Deodar-Packet": str(next(self._packets))}
        connection = self._agent.connect()
        with contextlib.closing(connection):
            connection.request("POST", "/agent/v1/packets", body, headers)
            got = connection.getresponse()
            told = got.read()
        assert got.status == http.client.OK, told
        return json.loads(told)

    def put_marked(self, count: int, first: int = 0, **more: Any) -> str:
        """Let the agent send numbered events; returns the filter that finds just these."""
        mark = more.pop("HostName", "") or uuid.uuid4().hex
        self.put(*({"Id": f"{n}", "HostName": mark, **more} for n in range(first, first + count)))
        return f"HostName == '{mark}'"

    def close(self) -> None:
        self.database.close()


@contextlib.contextmanager
def started(folder: Path, chosen: EdrSettings | None = None) -> Iterator[Kata]:
    given = chosen or EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",))
    process = Process(installations.init(folder / "edr", given), folder)
    kata = None
    try:
        kata = Kata(process, folder)
        yield kata
    finally:
        if kata is not None:
            kata.close()
        if process.child.alive:
            process.child.kill()


@pytest.fixture(scope="package")
def kata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kata]:
    """Return a running server, the same for all tests of the package."""
    with started(tmp_path_factory.mktemp("kata")) as made:
        yield made


def openssl(folder: Path, *commands: str) -> None:
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
