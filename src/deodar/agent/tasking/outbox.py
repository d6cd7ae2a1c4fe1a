"""Answers to the server that it has not taken yet: a file each, so that none is lost.

There are at most as many as the worker lets come about: it begins no task while many wait.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.directory import StateDirectory
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "results"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,120}\.json", re.ASCII)
_log = logger("agent.tasking")


class Letter(msgspec.Struct, frozen=True):
    """One answer: where it is sent, and its JSON."""

    path: str
    body: msgspec.Raw


class Outbox:
    """The answers that wait, the oldest first. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the agent's."""
        self._directory = StateDirectory(folder / FOLDER)

    def __len__(self) -> int:
        return len(self._names())

    def put(self, name: str, path: str, body: object) -> None:
        """Keep an answer; one of the same name that still waits is replaced. Raises StateError."""
        StateDirectory.create(self._directory.path)
        letter = Letter(path, msgspec.Raw(msgspec.json.encode(body)))
        self._directory.write_secret(f"{name}.json", msgspec.json.encode(letter))

    def first(self) -> tuple[str, Letter] | None:
        """Return the oldest answer with its name; one that is damaged is thrown away and told."""
        for name in self._names():
            try:
                data = self._directory.read(name)
                return name, msgspec.json.decode(data, type=Letter)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                _log.warning("an answer is damaged and cannot be sent", file=name, error=str(error))
                self.drop(name)
        return None

    def drop(self, name: str) -> None:
        """Throw an answer away, since the server has it or never will."""
        (self._directory.path / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        if not self._directory.path.is_dir():
            return []
        paths = [path for path in self._directory.path.iterdir() if _NAME.fullmatch(path.name)]
        return [path.name for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]
