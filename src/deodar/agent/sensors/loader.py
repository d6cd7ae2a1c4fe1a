"""Load a committed blob into the kernel with nothing but bpf(2): no libbpf, no compiler.

A blob is a libbpf light skeleton (see bpf/build.py): a small program that runs once, makes the
maps, relocates the sensors' programs to the running kernel and loads them. Everything lives by
file descriptors alone; nothing is pinned, so a killed agent leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deodar.agent.sensors import syscall
from deodar.agent.sensors.errors import BlobError, SensorUnavailable

if TYPE_CHECKING:
    import ctypes

    from deodar.agent.sensors.probes import Probes

FOLDER = Path(__file__).with_name("blobs")
"""Of the blobs; `importlib.resources` would cost every agent a megabyte."""
LOG_BYTES = 1 << 22
HEAD = struct.Struct("<IIIIQ")  # struct bpf_loader_ctx: bytes, flags, log level, size, buffer
TOO_OLD = "this kernel does not know what the programs use; Linux 5.17 or later is needed"
MEANINGS = {
    errno.EPERM: "not allowed: it takes root (CAP_BPF and CAP_PERFMON), and a kernel that is not "
    "locked down to confidentiality",
    errno.ENOSYS: "this kernel has no bpf(2)",
    errno.EINVAL: TOO_OLD,
    errno.ENOENT: "this kernel lacks a type or tracepoint that the programs use",
    errno.ESRCH: "this kernel lacks a type or tracepoint that the programs use",
    errno.E2BIG: "this kernel's verifier gave up on the programs",
    errno.EACCES: "this kernel's verifier refused the programs",
    errno.ENOMEM: "no memory for the maps; a smaller ring may help",
}


@dataclass(frozen=True)
class Blob:
    """A blob of the package, checked against its manifest."""

    name: str
    data: bytes
    instructions: bytes
    manifest: dict[str, Any]


@dataclass
class Loaded:
    """Descriptors of what a blob made in the kernel."""

    maps: dict[str, int]
    programs: dict[str, int]
    links: list[int] = field(default_factory=list)
    probes: Probes | None = None
    """Where the programs are, when they are on functions of libraries."""

    def attach(self) -> None:
        """Attach every program; raises SensorUnavailable when the kernel refuses one."""
        for name, program in self.programs.items():
            try:
                self.links.append(syscall.attach(program))
            except OSError as error:
                raise SensorUnavailable(f"attaching {name}: {meaning(error.errno)}") from error

    def close(self) -> None:
        """Detach and free everything."""
        if self.probes is not None:
            self.probes.close()
        for descriptor in (*self.links, *self.programs.values(), *self.maps.values()):
            os.close(descriptor)
        self.links, self.programs, self.maps = [], {}, {}


def read_blob(name: str) -> Blob:
    """Return a blob of the package; raises BlobError when it does not fit its manifest."""
    try:
        manifest = json.loads((FOLDER / f"{name}.json").read_bytes())
        content = (FOLDER / f"{name}.blob").read_bytes()
    except (OSError, ValueError) as error:
        raise BlobError(f"the BPF blob {name} is missing: {error}; install again") from error
    if hashlib.sha256(content).hexdigest() != manifest["blob"]["sha256"]:
        raise BlobError(f"the BPF blob {name} differs from its manifest; install again")
    split = manifest["blob"]["data_bytes"]
    return Blob(name, content[:split], content[split:], manifest)


def load(blob: Blob, sizes: dict[str, int]) -> Loaded:
    """Run a blob's loader; `sizes` gives max_entries of maps that are not to keep the built-in one.

    Returns the descriptors, not attached yet. Raises SensorUnavailable with what errno means and
    the verifier's last word.
    """
    places = blob.manifest["context"]
    context = _context(blob, sizes)
    if (code := _run(blob, context)) != 0:
        words = "" if code == errno.EPERM else complaint(blob, sizes)
        raise SensorUnavailable(f"loading the BPF programs: {meaning(code)}{words}")
    return Loaded(_descriptors(context, places["maps"]), _descriptors(context, places["programs"]))


def complaint(blob: Blob, sizes: dict[str, int]) -> str:
    """Try once more with the verifier's log on; returns its last line in brackets, "" if none."""
    log = syscall.buffer(bytes(LOG_BYTES))
    context = _context(blob, sizes)
    HEAD.pack_into(context, 0, len(context), 0, 1, LOG_BYTES, syscall.address(log))
    _run(blob, context)
    places = blob.manifest["context"]
    for descriptor in _descriptors(context, {**places["maps"], **places["programs"]}).values():
        if descriptor > 0:  # this time it worked, or got further
            os.close(descriptor)
    lines = [line for line in log.value.decode("ascii", "replace").splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("processed ")]
    return f" (verifier: {said[-1].strip()[:200]})" if said else ""


def meaning(code: int | None, known: str = "") -> str:
    """Return what an errno of bpf(2) means for an administrator; `known` if that is not usual."""
    known = known or MEANINGS.get(code or 0, os.strerror(code or 0))
    return f"{known} (errno {code}, kernel {platform.release()})"


def _context(blob: Blob, sizes: dict[str, int]) -> ctypes.Array[ctypes.c_char]:
    places = blob.manifest["context"]
    context = syscall.buffer(bytes(places["bytes"]))
    HEAD.pack_into(context, 0, places["bytes"], 0, 0, 0, 0)
    for name, entries in sizes.items():
        struct.pack_into("<I", context, places["maps"][name] + 4, entries)
    return context


def _run(blob: Blob, context: ctypes.Array[ctypes.c_char]) -> int:
    """Run the loader; returns 0 or the errno with which it failed.

    Raises SensorUnavailable when the kernel is older than the call that loads the loader itself.
    """
    work = program = -1
    try:
        work = syscall.create_array("deodar_loader", len(blob.data))
        syscall.update(work, bytes(4), blob.data)
        program = syscall.load_program(blob.instructions, work)
        return max(0, -syscall.run_program(program, context))
    except OSError as error:
        if error.errno == errno.E2BIG:  # attributes longer than this kernel's
            raise SensorUnavailable(
                f"loading the BPF programs: {meaning(error.errno, TOO_OLD)}"
            ) from error
        return error.errno or errno.EINVAL
    finally:
        for descriptor in (work, program):
            if descriptor >= 0:
                os.close(descriptor)


def _descriptors(context: ctypes.Array[ctypes.c_char], offsets: dict[str, int]) -> dict[str, int]:
    return {name: struct.unpack_from("<i", context, at)[0] for name, at in offsets.items()}
