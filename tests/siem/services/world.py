"""A core with quick reports as a process, and services that are paired with it as processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from tests.siem.conftest import DEODAR, Core, free_port
from tests.siem.here import here

from deodar.kit import settings as files
from deodar.kit.children import Child
from deodar.kit.directory import StateDirectory
from deodar.siem import control, setup
from deodar.siem.services import admin
from deodar.siem.services.core import ServiceCore, opened
from deodar.siem.services.settings import AlertSettings, ServicesSettings
from deodar.siem.settings import load_siem

QUICK = ServicesSettings(report_seconds=0.3, silent_seconds=3.0)
ALERTS = AlertSettings(
    window_seconds=2.0,
    searches_per_second=2.0,
    buffer_growth_bytes=1_000,
    disk_free_percent=20.0,
    partition_free_percent=0.0,
)


@dataclass
class World:
    """The core, and what was started besides."""

    folder: Path
    core: Core
    children: dict[str, Child] = field(default_factory=dict)
    _closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def run(self, *words: object, code: int = 0) -> str:
        return here(*words, "--dir", self.core.home.path, code=code).stdout

    @cached_property
    def known(self) -> ServiceCore:
        """What the core's folder has of services, looked at from this process: that is quick."""
        path = self.core.home.path / "siem.toml"
        return self._closing.enter_context(opened(self.core.home, load_siem(path)))

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row.name: msgspec.to_builtins(row) for row in admin.rows(self.known)}

    def row(self, name: str) -> dict[str, Any]:
        return msgspec.to_builtins(admin.row(self.known, name))

    def log(self, name: str) -> str:
        path = f"/service-log?service={self.row(name)['id']}&lines=500"
        lines = json.loads(control.call(self.core.home.socket, "GET", path).content)
        return "\n".join(line["text"] for line in lines)

    def save(self, name: str, text: str, *options: object) -> dict[str, Any]:
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        words = ("resource-set", "save", name, path, *options, "--json")
        return json.loads(self.run(*words))

    def settings(self, name: str) -> str:
        return json.loads(self.run("resource-set", "show", name, "--json"))["settings"]

    def home(self, name: str) -> StateDirectory:
        return StateDirectory(self.folder / f"host-{name}")

    def start(self, name: str, command: str) -> Child:
        """Run the command that the core printed, as a host of its own would."""
        words = shlex.split(command)[1:]
        words[words.index("--api-port") + 1] = str(free_port())
        folder = ("--folder", str(self.home(name).path))
        child = Child(name, [*DEODAR, *words, *folder], self.folder).start()
        self.children[name] = child
        return child

    def start_own(self, name: str, command: str) -> Child:
        """Run a collector of the core's own host."""
        child = Child(name, [*DEODAR, *shlex.split(command)[1:]], self.folder).start()
        self.children[name] = child
        return child

    def close(self) -> None:
        self._closing.close()
        for child in (*self.children.values(), self.core.child):
            if child.alive:
                child.stop()


def make_world(folder: Path) -> World:
    home = setup.init_siem(folder / "siem", "127.0.0.1", free_port(), "")
    path = home.path / "siem.toml"
    settings = msgspec.structs.replace(load_siem(path), services=QUICK, alerts=ALERTS)
    home.write_secret("siem.toml", files.dump(settings).encode())
    child = Child("core", [*DEODAR, "siem", "run", "--dir", str(home.path)], folder).start()
    return World(folder, Core(home, child, child.ready(60)["url"]))


async def until(condition: Callable[[], Any], limit: float = 30.0) -> Any:
    """Wait until a condition holds that is looked at in a thread; returns what it found."""
    deadline = time.monotonic() + limit
    while not (found := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.1)
    return found
