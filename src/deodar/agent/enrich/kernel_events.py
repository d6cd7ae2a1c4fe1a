"""From a record to an event: what comes into the kernel, modules and eBPF."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deodar.agent.enrich.context import text
from deodar.agent.enrich.fields import actor_fields, as_device, facts_fields
from deodar.agent.enrich.registry import converts
from deodar.agent.sensors.acts import BpfUse, KernelModule

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event

FILE_FIELDS = ("File", "Md5", "Sha256")
"""How fields of the program's file begin; in `driver` they are of the module's file."""


@converts(KernelModule, "driver")
def driver(context: Context, record: KernelModule) -> Event:
    """A module was loaded into the kernel or taken out of it; the file is the module's."""
    actor = actor_fields(context, record)
    return {
        **{name: value for name, value in actor.items() if not name.startswith(FILE_FIELDS)},
        **_module_file(context, record),
        "DriverName": text(record.name),
        "DriverOperation": record.operation,
        "DriverFromMemory": 1 if record.from_memory else None,
        "DriverTaints": record.taints or None,
        "LoaderFileFullName": actor.get("FileFullName"),
    }


@converts(BpfUse, "bpf")
def bpf(context: Context, record: BpfUse) -> Event:
    """A process brought a program or a map of eBPF into the kernel, or attached a program."""
    return {
        **actor_fields(context, record),
        "BpfCommand": record.command,
        "BpfType": record.type or str(record.kind),
        "BpfName": text(record.name),
        "BpfId": record.id or None,
        "BpfTarget": text(record.target),
    }


def _module_file(context: Context, record: KernelModule) -> Event:
    if not record.path:
        return {}
    path = os.fsdecode(record.path)
    folder, name = os.path.split(text(record.path))
    fields: Event = {
        "FileName": name,
        "FilePath": folder,
        "FileFullName": text(record.path),
    }
    paths = [f"/proc/{record.key.pid}/root{path}", path]
    fields |= facts_fields(context.hasher.facts(record.identity, paths))
    if record.identity is not None:
        fields["FileDevice"] = as_device(record.identity.dev)
        fields["FileInode"] = record.identity.ino
        fields["FileLastChangeTime"] = record.identity.ctime_ns // 1000
    return fields
