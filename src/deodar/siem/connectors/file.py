"""Lines of files, as programs write and rotate them.

Files are found by patterns and known by inode and content, so that rotation by renaming and by
copying, truncation and packing lose and repeat nothing. How far each is read is kept with the lines
themselves: each line is taken exactly once, also when the collector is killed. A last line without
an end waits for it until the file is gone. What a program wrote between the collector's last look
and a truncation is lost unless the copy is found by a pattern too.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from deodar.kit.logging import logger
from deodar.siem.connectors.base import (
    ConnectorSettings,
    EventBytes,
    Handover,
    Kind,
)
from deodar.siem.connectors.files import Files, State
from deodar.siem.connectors.framing import FRAMES, Group, pack
from deodar.siem.connectors.restarting import RestartingConnector, whole
from deodar.siem.connectors.status import Status
from deodar.siem.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink
    from deodar.siem.connectors.files import Harvest

_AT_ONCE = 1 << 20
_log = logger("siem.connector")


class FileSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="file"
):
    """`paths` are absolute, with the wildcards `*`, `?`, `[]`, and `**` for any folders; `exclude`
    are patterns of files that are left out. `start` is for files that are there at the very first
    look; later ones are read from the beginning. With `packed` also files named .gz are read that
    were not read before. A file that is gone is let go `linger_seconds` after its last line.
    """  # noqa: D205

    paths: list[str]
    exclude: list[str] = msgspec.field(default_factory=list)
    start: Literal["beginning", "end"] = "beginning"
    packed: bool = False
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] = "\n"
    max_event_bytes: EventBytes = 262_144
    max_files: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    max_open: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    look_seconds: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 1.0
    linger_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 10.0

    @property
    def largest_record(self) -> int:
        """Bytes of what is read at once, and of one more line."""
        return 2 * _AT_ONCE + self.max_event_bytes

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        if not self.paths:
            return "paths: give at least one"
        relative = next((path for path in self.paths if not path.startswith("/")), None)
        if relative is not None:
            return f"paths: {relative!r} is not absolute"
        return super().problem()


class FileConnector(RestartingConnector):
    """Looks for new lines again and again."""

    def __init__(self, settings: FileSettings, home: Path, sink: Sink) -> None:
        super().__init__()
        self._settings = settings
        self._sink = sink
        self._state: str | None = None

    async def take(self, state: str | None) -> None:
        """Follow the files from `state` on until cancelled."""
        self._state = state
        files = Files(self._settings, _read(state), self._sink.count)
        self._sink.changed(Status("green", f"following {', '.join(self._settings.paths)}"))
        try:
            while True:
                await whole(asyncio.to_thread(files.look))
                while await self._round(files):
                    pass
                await asyncio.sleep(self._settings.look_seconds)
        finally:
            files.close()

    async def _round(self, files: Files) -> bool:
        """Hand over what is new; returns whether there is more."""
        harvest = await whole(asyncio.to_thread(files.harvest, _AT_ONCE))
        for path, line in harvest.too_long:
            limit = self._settings.max_event_bytes
            self._sink.count("too_long")
            reason = f"a line longer than {limit} bytes; this is its beginning"
            await self._sink.keep_aside(path, reason, line)
        await self._hand_over(harvest)
        return harvest.more

    async def _hand_over(self, harvest: Harvest) -> None:
        after = msgspec.json.encode(harvest.state).decode()
        if after == self._state:
            return
        now = time.time_ns() // 1000
        body = pack([Group(path, now, lines) for path, lines in harvest.lines])
        handover = Handover(
            body,
            FRAMES,
            "file",
            self._state,
            after,
            has_events=bool(harvest.lines),
            encoding=self._settings.character_encoding,
        )
        await self._sink.put(handover)
        self._state = after

    async def check(self) -> str:
        """Say which files there are now."""
        files = Files(self._settings, None, lambda _what: None)
        try:
            await asyncio.to_thread(files.look)
            found = [place.path for place in files.state().places]
        finally:
            files.close()
        if not found:
            raise ConnectorError(f"no file is found by {', '.join(self._settings.paths)}")
        return f"{len(found)} files, such as {found[0]}"


def _read(state: str | None) -> State | None:
    if state is None:
        return None
    try:
        return msgspec.json.decode(state, type=State)
    except msgspec.MsgspecError as error:
        _log.error("the places in files are not readable: they are read anew", reason=str(error))
        return None


def _facts(settings: FileSettings, _home: Path) -> Mapping[str, str]:
    return {"files": ", ".join(settings.paths)}


KIND = Kind(
    "file",
    "lines of files, through rotation",
    FileSettings,
    FileConnector,
    lambda _settings, _home: "file",
    _facts,
)
