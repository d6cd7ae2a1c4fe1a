"""Everything that enrichment looks up, in one place: processes, users, files, logons, ids."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from deodar.agent.enrich import command_line, proc
from deodar.agent.enrich.containers import Containers
from deodar.agent.enrich.hashes import FileFacts, FileHasher
from deodar.agent.enrich.host import HostFacts, address_towards
from deodar.agent.enrich.identity import UniquePids, event_ids
from deodar.agent.enrich.logons import LogonHosts
from deodar.agent.enrich.processes import Image, Process, ProcessTable
from deodar.agent.enrich.users import UserNames
from deodar.agent.hashing.facts import Rest
from deodar.agent.sensors.file_policy import FilePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Exec, Exit, Fork
    from deodar.agent.settings import AgentSettings

ADDRESS_LIFETIME = 30.0
SHARED = 512
"""Texts that are kept for `shared_text`."""


class Context:
    """What one agent knows about its host. Used by one thread."""

    def __init__(
        self,
        settings: AgentSettings,
        host: HostFacts,
        *,
        version: str,
        sensor_tier: str,
        server: Callable[[], str],
    ) -> None:
        """`server` returns the address (host:port) of the server in use, "" for none."""
        self.host = host
        self.users = UserNames()
        self.logons = LogonHosts()
        self.containers = Containers()
        self.hasher = FileHasher(settings.hashes)
        self.unique_pids = UniquePids(host.boot_id)
        self.processes = ProcessTable(settings.sensor.processes, _find_live)
        self.event_ids = event_ids()
        self.file_policy = FilePolicy()
        """Which changes of files are wanted; another one may be put here by any thread."""
        self._server = server
        self._address_until = float("-inf")
        self._common_text = b""
        self.shared_fragments: dict[tuple[object, ...], tuple[Any, Any, float]] = {}
        """What processes of the same program and place have in common (enrich.fragments)."""
        self._common: dict[str, Any] = {
            "HostName": host.name,
            "HostIp": "",
            "OsFamily": host.os_family,
            "OsName": host.os_name,
            "OsVersion": host.os_version,
            "AgentId": settings.agent_id,
            "AgentVersion": version,
            "SensorTier": sensor_tier,
        }

    def seed(self) -> int:
        """Fill the table with the processes that run already; returns how many."""
        for live in proc.every_process():
            self.processes.put(_process(live))
        return len(self.processes)

    def common(self) -> dict[str, Any]:
        """Return the fields that every event of this host has; the caller may add to them."""
        now = time.monotonic()
        if now >= self._address_until:
            self._common["HostIp"] = address_towards(self._server())
            self._address_until = now + ADDRESS_LIFETIME
            self._common_text = b""
        return self._common.copy()

    def common_text(self) -> bytes:
        """Return the fields that every event of this host has, as JSON between the braces."""
        if time.monotonic() >= self._address_until or not self._common_text:
            self._common_text = orjson.dumps(self.common())[1:-1]
        return self._common_text

    def started(self, record: Exec, *, look_up: bool = True) -> Process:
        """Put a process that began to run a program into the table, and return it.

        Without `look_up` its file is not read now, but only if it is asked for later.
        """
        parent = self.processes.find(record.parent)
        container = _container_id(record, parent)
        process = Process(
            key=record.key,
            parent=parent.key if parent else record.parent,
            image=self._image(record, look_up=look_up),
            uid=record.uid,
            euid=record.euid,
            login_uid=record.login_uid,
            session_id=record.session_id,
            cwd=shared_text(record.cwd),
            tty=record.tty,
            container_id=container,
            container_pid=proc.inner_pid(record.key.pid) if container else 0,
            cgroup_id=record.cgroup_id,
            mount_ns=record.mount_ns,
        )
        self.processes.put(process)
        return process

    def forked(self, record: Fork) -> Process:
        """Put a process that is a copy of its parent into the table, and return it."""
        child = _copy(record, self.processes.find(record.parent))
        self.processes.put(child)
        return child

    def expected(self, record: Fork) -> None:
        """Let a copy be found in the table, as its parent was when it was made."""
        parent = self.processes.find(record.parent)
        if parent is not None and parent.container_id:  # its own number there is to be asked now
            self.processes.put(_copy(record, parent))
        else:
            self.processes.expect(record.child, lambda: _copy(record, parent))

    def ended(self, record: Exit) -> Process | None:
        """Note the end of a process; returns it, None when it is not known."""
        process = self.processes.get(record.key)
        if process is not None:
            self.processes.end(process, record.time_ns)
        return process

    def facts(self, process: Process) -> FileFacts | None:
        """Return the facts about a process's program; asks the disk once per image."""
        image = process.image
        if not image.looked_up:  # started before the agent: believed while it still runs that file
            image.looked_up = True
            link = f"/proc/{process.key.pid}/exe"
            if text(proc.link_target(link)) == image.exe:
                image.facts = self.hasher.facts(None, [link])
        elif image.facts is not None and image.facts.rest is Rest.COMING:
            image.facts = self.hasher.latest(image.facts)
        return image.facts

    def close(self) -> None:
        """End what runs beside."""
        self.hasher.close()

    def _image(self, record: Exec, *, look_up: bool) -> Image:
        facts = self.hasher.at_hand(record.inode) or (self._facts(record) if look_up else None)
        return Image(
            exe=shared_text(record.exe or record.filename or record.comm),
            command_line=command_line.join(record.argv or [record.exe]),
            facts=facts,
            looked_up=look_up,
        )

    def _facts(self, record: Exec) -> FileFacts | None:
        exe = os.fsdecode(record.exe)
        paths = [f"/proc/{record.key.pid}/exe"] if record.inode is not None else []
        if exe and not record.deleted:
            roots = (f"/proc/{record.key.pid}/root", f"/proc/{record.parent.pid}/root", "")
            paths += [root + exe for root in roots]
        return self.hasher.facts(record.inode, paths) if paths else None


def text(value: bytes) -> str:
    r"""Return bytes from the kernel as text; what is not UTF-8 shows as ``\xHH``."""
    return value.decode("utf-8", "backslashreplace")


@lru_cache(SHARED)
def shared_text(value: bytes) -> str:
    """Return `text`, the same object for the same bytes: thousands of processes have it."""
    return text(value)


def _container_id(record: Exec, parent: Process | None) -> str:
    """Return the container of a process; /proc is asked when its parent is in another place.

    Each container has a mount namespace of its own, and nobody leaves one.
    """
    if parent is None:
        return proc.container_id(record.key.pid) or ""
    if record.mount_ns and record.mount_ns == parent.mount_ns:
        return parent.container_id
    found = proc.container_id(record.key.pid)
    return parent.container_id if found is None else found


def _copy(record: Fork, parent: Process | None) -> Process:
    if parent is None:
        image = Image(exe=text(record.comm), looked_up=True)
        child = Process(record.child, record.parent, image)
    else:
        child = Process(record.child, parent.key, parent.image)
        child.cwd, child.tty, child.cgroup_id = parent.cwd, parent.tty, parent.cgroup_id
        child.container_id, child.mount_ns = parent.container_id, parent.mount_ns
        if child.container_id:
            child.container_pid = proc.inner_pid(record.child.pid)
    child.uid, child.euid = record.uid, record.euid
    child.login_uid, child.session_id = record.login_uid, record.session_id
    return child


def _find_live(pid: int) -> Process | None:
    live = proc.live_process(pid)
    return _process(live) if live is not None else None


def _process(live: proc.LiveProcess) -> Process:
    container = proc.container_id(live.key.pid) or ""
    name = text(live.exe) if live.exe else f"[{text(live.comm)}]"
    return Process(
        key=live.key,
        parent=live.parent,
        image=Image(exe=name, command_line=command_line.join(live.argv) or name),
        uid=live.uid,
        euid=live.euid,
        login_uid=live.login_uid,
        session_id=live.session_id,
        cwd=text(live.cwd),
        tty=live.tty,
        container_id=container,
        container_pid=proc.inner_pid(live.key.pid) if container else 0,
        mount_ns=live.mount_ns,
    )
