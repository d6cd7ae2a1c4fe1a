"""Which tasks shall run, over restarts of the agent: the file ``tasks.json`` in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from deodar.kit.errors import StateError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

FILE = "tasks.json"
DEFAULT = {"Behavior_Detection": True, "KATAEDR": True}

_log = logger("agent.tasks")


class WantedTasks:
    """What an administrator wants of each task; kept by name."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._wanted = DEFAULT | self._load()

    def has(self, name: str) -> bool:
        """Whether the task shall run."""
        return self._wanted.get(name, False)

    def put(self, name: str, wanted: bool) -> None:
        """Remember it. A disk that takes no file is logged: the task follows all the same."""
        if self.has(name) == wanted:
            return
        self._wanted = {**self._wanted, name: wanted}
        try:
            self._directory.write_secret(FILE, msgspec.json.encode(self._wanted))
        except StateError as error:
            _log.warning("what tasks shall run is not kept over a restart", error=str(error))

    def _load(self) -> dict[str, bool]:
        if not self._directory.has(FILE):
            return {}
        try:
            return msgspec.json.decode(self._directory.read(FILE), type=dict[str, bool])
        except (StateError, msgspec.DecodeError, RecursionError) as error:
            _log.warning(
                "every task shall run: the file cannot be used", file=FILE, error=str(error)
            )
            return {}
