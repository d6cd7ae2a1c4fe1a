"""Name and image of a container by its id, from what its runtime keeps on the disk.

No runtime is asked: a daemon that hangs would hang the telemetry with it. Read are Docker's
config.v2.json, the bundle that containerd keeps for each task (with the annotations of Kubernetes),
the list of containers/storage (Podman and CRI-O), and systemd's list of machines.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST = 4 << 20
MOST = 1024
TRY_AGAIN = 10.0
"""Seconds after which a container is looked for again: its file may come after its process."""
HOST = Path("/")


class Container(NamedTuple):
    """What is known of a container beside its id; "" for what is not."""

    name: str = ""
    image: str = ""


UNKNOWN = Container()


class Containers:
    """Remembers what was found. Used by one thread."""

    def __init__(self, root: Path = HOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._known: OrderedDict[str, tuple[Container, float]] = OrderedDict()

    def of(self, identity: str) -> Container:
        """Return what is known of a container; "" as its id is none."""
        if not identity:
            return UNKNOWN
        found, until = self._known.get(identity, (UNKNOWN, 0.0))
        if found is UNKNOWN and self._clock() >= until:
            found = self._look(identity)
            self._known[identity] = (found, self._clock() + TRY_AGAIN)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return found

    def _look(self, identity: str) -> Container:
        for runtime in RUNTIMES:
            with suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
                found = runtime(self._root, identity)
                if found is not None:
                    return found
        return UNKNOWN


def _docker(root: Path, identity: str) -> Container | None:
    kept = _json(root / "var/lib/docker/containers" / identity / "config.v2.json")
    return Container(str(kept["Name"]).removeprefix("/"), str(kept["Config"]["Image"]))


def _containerd(root: Path, identity: str) -> Container | None:
    for file in _bundles(root, identity):
        notes = _json(file).get("annotations") or {}
        name = notes.get("io.kubernetes.cri.container-name") or notes.get("nerdctl/name", "")
        image = notes.get("io.kubernetes.cri.image-name", "")
        if name or image:
            return Container(str(name), str(image))
    return None


def _bundles(root: Path, identity: str) -> Iterator[Path]:
    folder = root / "run/containerd/io.containerd.runtime.v2.task"
    for namespace in ("k8s.io", "default", "moby"):
        file = folder / namespace / identity / "config.json"
        if file.is_file():
            yield file


def _storage(root: Path, identity: str) -> Container | None:
    folder = root / "var/lib/containers/storage/overlay-containers"
    for name in ("containers.json", "volatile-containers.json"):
        with suppress(FileNotFoundError):
            for kept in _json(folder / name):
                if kept["id"] == identity:
                    notes = orjson.loads(kept.get("metadata") or "{}")
                    names = kept.get("names") or [notes.get("name", "")]
                    return Container(str(names[0]), str(notes.get("image-name", "")))
    return None


def _machine(root: Path, identity: str) -> Container | None:
    """Read what systemd keeps of a machine: its image is the folder or file that it runs from."""
    if "/" in identity:
        return None
    with (root / "run/systemd/machines" / identity).open("rb") as file:
        text = file.read(LARGEST).decode("utf-8", "replace")
    kept = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Container(identity, kept.get("ROOT", ""))


RUNTIMES: tuple[Callable[[Path, str], Container | None], ...] = (
    _docker,
    _containerd,
    _storage,
    _machine,
)


def _json(path: Path) -> Any:
    with path.open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST} bytes")
    return orjson.loads(text)
