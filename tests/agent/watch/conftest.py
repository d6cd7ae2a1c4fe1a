"""A small host in a folder, and a watcher of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.conftest import wait_for

from deodar.agent.sensors.base import Lost
from deodar.agent.settings import AgentSettings, WatchSettings
from deodar.agent.watch import attribution
from deodar.agent.watch.files import Files
from deodar.agent.watch.state import StateWatcher
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/sh\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nanna:$y$secret:19000:0:99999:7:::\n",
    "etc/group": "root:x:0:\nanna:x:1000:\nsudo:x:27:\n",
    "etc/gshadow": "root:*::\nanna:!::\nsudo:*::\n",
    "etc/sudoers": "# who may do what\nroot ALL=(ALL) ALL\n",
    "etc/crontab": "SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n",
    "etc/cron.d/sample": "*/5 * * * * anna /usr/bin/sample\n",
    "var/spool/cron/crontabs/root": "@reboot /usr/bin/first\n",
    "usr/lib/systemd/system/one.service": "[Service]\nExecStart=/usr/bin/one\n",
    "usr/lib/systemd/system/tick.service": "[Service]\nExecStart=/usr/bin/tick\n",
    "usr/lib/systemd/system/tick.timer": "[Timer]\nOnCalendar=daily\n",
    "etc/init.d/old": "#!/bin/sh\necho old\n",
}


class Host:
    """A root folder, and what was told of it."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self.state = StateDirectory.create(state)
        self.told: list[Any] = []
        self.watcher = self.new_watcher()
        for name, text in FILES.items():
            self.write(name, text)

    def new_watcher(self) -> StateWatcher:
        settings = AgentSettings(agent_id="a", watch=WatchSettings(root=str(self.root)))
        return StateWatcher(settings, self.state)

    def write(self, name: str, text: str, *, mode: int | None = None) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mode is not None:
            path.chmod(mode)
        return path

    def replace(self, name: str, text: str) -> None:
        """Change a file the way of most tools: write aside, rename."""
        self.write(f"{name}.new", text).rename(self.root / name)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file in place."""
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def start(self) -> None:
        """Watch, and wait until all has been seen once."""
        self.watcher.open(self.told.extend)
        names = ("accounts", "schedules", "services")
        wait_for(lambda: all(self.state.has(f"watch-{name}.json") for name in names))

    def restart(self) -> None:
        self.watcher.close()
        self.watcher = self.new_watcher()
        self.watcher.open(self.told.extend)

    @property
    def changes(self) -> list[tuple[str, ...]]:
        """What was told, in short: what happened to which kind of thing, its name, the changes."""
        return [_short(record) for record in self.told if not isinstance(record, Lost)]

    def expect(self, *wanted: tuple[str, ...], limit: float = 60.0) -> None:
        """Wait until just these changes were told, in any order; then forget them."""
        wait_for(lambda: sum(not isinstance(r, Lost) for r in self.told) >= len(wanted), limit)
        assert sorted(self.changes) == sorted(wanted)
        self.told.clear()

    def expect_nothing(self, marker: str = "marker") -> None:
        """Wait until a later change was told, and nothing before it."""
        self.write(f"etc/cron.d/{marker}", f"1 1 * * * root /bin/{marker}\n")
        self.write(f"etc/systemd/system/{marker}.service", f"[Service]\nExecStart=/{marker}\n")
        group = self.root / "etc/group"
        self.replace("etc/group", f"{group.read_text()}{marker}:x:4000:\n")
        self.expect(
            ("ScheduledTaskCreated", f"/bin/{marker}"),
            ("ServiceCreated", f"{marker}.service"),
            ("GroupCreated", marker),
        )


def _short(record: Any) -> tuple[str, ...]:
    kind = type(record).__name__
    if kind == "ServiceRun":
        return ("started" if record.running else "stopped", record.name)
    name = record.command if kind == "ScheduleChange" else record.name or record.file
    what = {"AccountChange": "", "ScheduleChange": "ScheduledTask", "ServiceChange": "Service"}
    entity = what[kind] or record.entity
    return (f"{entity}{record.operation}", name, *record.changes)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host that is not watched yet, of which no sensor tells."""
    monkeypatch.setattr(attribution, "DOER_WITHIN", 0.0)
    one = Host(tmp_path / "root", tmp_path / "state")
    yield one
    one.watcher.close()


@pytest.fixture
def watched(host: Host) -> Host:
    """A host that is watched."""
    host.start()
    return host


@pytest.fixture
def files(host: Host) -> Iterator[Files]:
    """The files of the host."""
    one = Files(host.root)
    yield one
    one.close()
