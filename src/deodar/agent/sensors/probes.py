"""Programs of a part on functions of a library, by perf events: no tracefs, nothing left behind.

Numbers and layouts are those of linux/perf_event.h and of /sys/bus/event_source/devices/uprobe.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall
from deodar.agent.sensors.elf_symbols import function_offsets
from deodar.agent.sensors.errors import SensorUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

DEVICE = Path("/sys/bus/event_source/devices/uprobe")
RETURN = "_ret"
"""End of the name of a program that runs when the function returns."""
PREFIX = "deodar_"
"""Beginning of every program's name; between the two is the function's."""
MOST_FILES = 8
"""Files whose functions are watched at once. The kernel waits for a grace period with each probe
that it removes, one after the other: 0.2 s each on a very busy host, even of a killed agent."""
_NUMBERS = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTES = struct.Struct("<IIQQQQQIIQQ56x")  # struct perf_event_attr, up to 128 bytes
_SET_PROGRAM, _ENABLE = 0x40042408, 0x2400
_CLOSE_ON_EXEC = 8
_libc = ctypes.CDLL(None, use_errno=True)

FileKey = tuple[int, int]
"""Device and inode number."""


class Probes:
    """The programs of one part, on as many copies of a library as there are. For any thread."""

    def __init__(self, programs: dict[str, int]) -> None:
        self._programs = programs
        self._functions = {_function(name) for name in programs}
        self._events: dict[FileKey, list[int]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.problems: dict[FileKey, str] = {}
        """Files that could not be probed, and why; they are not tried again."""

    @property
    def files(self) -> set[FileKey]:
        """The files that are probed."""
        return set(self._events)

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
            _close(self._events.pop(gone))
        self.problems = {key: why for key, why in self.problems.items() if key in wanted}
        for key, path in wanted.items():
            if key in self._events or key in self.problems or len(self._events) >= MOST_FILES:
                continue
            try:
                self._events[key] = self._attach(path)
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
        events: list[int] = []
        try:
            for name, program in self._programs.items():
                at = offsets[_function(name)]
                events.append(_probe(program, path, at, returns=name.endswith(RETURN)))
        except OSError as error:
            _close(events)
            raise SensorUnavailable(f"probing {path}: {error.strerror or error}") from error
        return events


def check_kernel() -> None:
    """Raise SensorUnavailable when this kernel has no probes of user space."""
    if not (DEVICE / "type").exists():
        raise SensorUnavailable("this kernel has no probes of user space (CONFIG_UPROBE_EVENTS)")


def _function(program: str) -> str:
    return program.removeprefix(PREFIX).removesuffix(RETURN)


def _probe(program: int, path: Path, offset: int, *, returns: bool) -> int:
    """Run a program whenever the code at an offset of a file runs; returns the event's descriptor.

    Raises OSError.
    """
    name = syscall.buffer(os.fsencode(path) + b"\0")
    kind = int((DEVICE / "type").read_text("ascii"))
    attributes = syscall.buffer(
        _ATTRIBUTES.pack(
            kind, _ATTRIBUTES.size, int(returns), 0, 0, 0, 0, 0, 0, syscall.address(name), offset
        )
    )
    event = _libc.syscall(
        _NUMBERS[platform.machine()], ctypes.byref(attributes), -1, 0, -1, _CLOSE_ON_EXEC
    )
    if event < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    try:
        fcntl.ioctl(event, _SET_PROGRAM, program)
        fcntl.ioctl(event, _ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return int(event)


def _close(events: list[int]) -> None:
    for event in events:
        os.close(event)
