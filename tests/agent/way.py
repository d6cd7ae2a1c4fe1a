"""A spool with a real uplink behind it, and a clock for hours that pass in seconds."""

from __future__ import annotations

import dataclasses
import json
import threading
from typing import TYPE_CHECKING, Any

from tests.agent.scripted import AGENT_ID

from deodar.agent.connection import ConnectionSettings
from deodar.agent.loss import LossBook
from deodar.agent.packets import Packer
from deodar.agent.settings import SpoolSettings, TransferSettings
from deodar.agent.spool import Spool
from deodar.agent.uplink_driver import UplinkDriver
from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.agent.scripted import Server

HOUR = 3600.0


class Way:
    """A spool and the driver that empties it."""

    def __init__(self, folder: Path, server: Server, **options: Any) -> None:
        self.folder = server.enrol(folder).path
        self.losses = LossBook()
        spool_settings = options.pop("spool_settings", SpoolSettings(sync=False))
        self.spool = Spool(folder / "spool", spool_settings, self.losses)
        self.sent: list[str] = []
        self.packer = Packer()
        self.news: list[tuple[str, dict[str, Any]]] = []
        self.policies: list[dict[str, Any] | None] = []
        self.report: dict[str, Any] = {"policy_version": 0, "tasks": []}
        self.driver = UplinkDriver(
            self.spool,
            self.losses,
            transfer=options.pop("transfer", TransferSettings()),
            identity=AGENT_ID,
            dead_folder=folder / "dead",
            report=lambda: self.report,
            on_policy=self.take_policy,
            notify=lambda event_type, details: self.news.append((event_type, details)),
            **{name: options.pop(name) for name in ("clock", "wait") if name in options},
        )
        self.settings = options.pop("settings", None) or ConnectionSettings(
            **{
                "servers": (server.address,),
                "context": server.context(self.folder),
                "maximum_delay": 0.02,
                **options,
            }
        )
        self.driver.configure(self.settings)

    def take_policy(self, policy: dict[str, Any] | None) -> None:
        self.policies.append(policy)
        if policy and policy.get("bad"):
            raise DeodarError("no such setting")
        self.report = {**self.report, "policy_version": policy["version"] if policy else 0}

    def change(self, **changes: Any) -> None:
        self.settings = dataclasses.replace(self.settings, **changes)
        self.driver.configure(self.settings)

    def put(self, packets: int, events: int = 2, text: str = "") -> None:
        for _ in range(packets):
            ids = [f"event-{len(self.sent) + number}" for number in range(events)]
            self.sent += ids
            lines = [json.dumps({"Id": identity, "Text": text}).encode() for identity in ids]
            self.spool.put(self.packer.pack(lines, 1, 2, (0, events, 0)))

    def is_empty(self) -> bool:
        return self.spool.state().packets == 0

    def kinds(self) -> list[str]:
        return [event_type for event_type, _ in self.news]


class Simulated:
    """A clock that jumps over the rests of the uplink; requests take real time on real sockets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.until = HOUR
        self.waits: list[float] = []
        self.each: Callable[[], None] = lambda: None
        self.over, self.mended = threading.Event(), threading.Event()

    def clock(self) -> float:
        return self.now

    def wait(self, event: threading.Event, seconds: float) -> None:
        if event.is_set():
            return
        self.waits.append(seconds)
        self.now += seconds
        self.each()
        if self.now >= self.until and not self.mended.is_set():
            self.over.set()
            self.mended.wait(60)
