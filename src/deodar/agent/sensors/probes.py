"""Programs of a part on functions of a library: no tracefs, nothing left behind."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from deodar.agent.sensors.elf_symbols import function_offsets
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.probe_links import DEVICE, Place, link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ENTER, RETURN = "deodar_enter", "deodar_return"
"""Programs that run when a function is called, and when it comes back."""
MOST_FILES = 8
"""Files whose functions are watched at once. The kernel waits for a grace period, a quarter of a
second, with each link that it removes, one after the other, even of an agent that is killed."""

FileKey = tuple[int, int]
"""Device and inode number."""


class Probes:
    """The programs of one part, on as many copies of a library as there are. For any thread."""

    def __init__(
        self, programs: Mapping[str, int], enter: Mapping[str, int], returns: Mapping[str, int]
    ) -> None:
        """`enter` and `returns` name functions whose call, and return, is seen; with cookies."""
        self._wanted = ((programs[ENTER], enter, False), (programs[RETURN], returns, True))
        self._functions = enter.keys() | returns.keys()
        self._links: dict[FileKey, list[int]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.problems: dict[FileKey, str] = {}
        """Files that could not be probed, and why; they are not tried again."""

    @property
    def files(self) -> set[FileKey]:
        """The files that are probed."""
        return set(self._links)

    def keep(self, wanted: dict[FileKey, Path]) -> None:
        """Probe these files, and no others; what cannot be is noted in `problems`."""
        with self._lock:
            if not self._closed:
                self._keep(wanted)

    def keep_aside(self, find: Callable[[], dict[FileKey, Path]]) -> None:
        """Probe what `find` returns, in a thread: to remove a probe takes its time."""
        threading.Thread(target=lambda: self.keep(find()), name="probes", daemon=True).start()

    def close(self) -> None:
        """Probe nothing any more, for good."""
        with self._lock:
            self._closed = True
            self._keep({})

    def _keep(self, wanted: dict[FileKey, Path]) -> None:
        for gone in self.files - wanted.keys():
            _close(self._links.pop(gone))
        self.problems = {key: why for key, why in self.problems.items() if key in wanted}
        for key, path in wanted.items():
            if key in self._links or key in self.problems or len(self._links) >= MOST_FILES:
                continue
            try:
                self._links[key] = self._attach(path)
            except SensorUnavailable as error:
                self.problems[key] = str(error)

    def _attach(self, path: Path) -> list[int]:
        try:
            with path.open("rb") as file:
                offsets = function_offsets(file, self._functions)
        except OSError as error:
            raise SensorUnavailable(f"{path}: {error.strerror}") from error
        if missing := self._functions - offsets.keys():
            raise SensorUnavailable(f"{path} has no function {min(missing)}")
        links: list[int] = []
        try:
            for program, functions, returns in self._wanted:
                places = [Place(offsets[name], cookie) for name, cookie in functions.items()]
                links += link(program, path, places, returns=returns)
        except OSError as error:
            _close(links)
            raise SensorUnavailable(f"probing {path}: {error.strerror or error}") from error
        return links


def check_kernel() -> None:
    """Raise SensorUnavailable when this kernel has no probes of user space."""
    if not (DEVICE / "type").exists():
        raise SensorUnavailable("this kernel has no probes of user space (CONFIG_UPROBE_EVENTS)")


def _close(links: list[int]) -> None:
    for one in links:
        os.close(one)
