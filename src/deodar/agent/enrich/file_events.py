"""From a record to an event: changes of files, libraries, raw devices.

Field names and units are those of deodar.events.vocabulary; a field that is not known is left out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deodar.agent.enrich.context import text
from deodar.agent.enrich.fields import as_device
from deodar.agent.enrich.fragments import of_actor
from deodar.agent.enrich.registry import Told, converts
from deodar.agent.sensors.acts import (
    DeviceOpen,
    FileChange,
    FileOperation,
    FileRepeats,
    LibraryLoad,
)

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event

COUNTS = {
    FileOperation.CREATE: "FilesCreated",
    FileOperation.MODIFY: "FilesModified",
    FileOperation.RENAME: "FilesRenamed",
    FileOperation.ATTRIBUTES: "FilesAttributes",
    FileOperation.DELETE: "FilesDeleted",
}


@converts(FileChange, "filechange")
def filechange(context: Context, record: FileChange) -> Told:
    """A process created, changed, renamed or deleted a file."""
    previous_folder, previous_name = os.path.split(text(record.previous))
    own: Event = {
        **_file_fields("Dropped", record),
        **_content_fields(record),
        "FileOperationType": record.operation.value,
        "FileOpenFlags": record.flags or None,
        "DroppedFileAttributes": record.mode or None,
        "PreviousFileName": previous_name,
        "PreviousFilePath": previous_folder,
        "PathFromProcess": None if record.exact else 1,
    }
    return Told(own, (of_actor(context, record),))


@converts(FileRepeats, "filechange_repeats")
def filechange_repeats(context: Context, record: FileRepeats) -> Told:
    """A process changed more files than are told one by one."""
    folder, name = os.path.split(text(record.path))
    own: Event = {
        "DroppedName": name,
        "DroppedPath": folder,
        "RepeatsFirstTime": record.first_ns // 1000,
        "RepeatsLastTime": record.time_ns // 1000,
    }
    own.update({COUNTS[operation]: count for operation, count in record.counts.items()})
    return Told(own, (of_actor(context, record),))


@converts(LibraryLoad, "module")
def module(context: Context, record: LibraryLoad) -> Told:
    """A process mapped a file as code."""
    own: Event = {
        **_file_fields("Dll", record),
        "DllFileAttributes": record.mode or None,
        "DllDeleted": 1 if record.deleted else None,
    }
    return Told(own, (of_actor(context, record),))


@converts(DeviceOpen, "rawdevice")
def rawdevice(context: Context, record: DeviceOpen) -> Told:
    """A process opened a device past the file systems."""
    own: Event = {
        "DeviceName": text(record.path),
        "DeviceMajor": record.major,
        "DeviceMinor": record.minor,
        "DeviceKind": "block" if record.block else "character",
        "FileOpenFlags": record.flags,
    }
    return Told(own, (of_actor(context, record),))


def _file_fields(prefix: str, record: FileChange | LibraryLoad) -> Event:
    """Return what is known of the file that a record is about: `prefix` begins the names."""
    path = text(record.path)
    folder, name = os.path.split(path)
    fields: Event = {
        f"{prefix}Name": name,
        f"{prefix}Path": folder,
        f"{prefix}FullName": path,
    }
    identity, facts = record.identity, record.facts
    if identity is not None:
        fields[f"{prefix}Size"] = identity.size
        fields[f"{prefix}ModificationTime"] = identity.mtime_ns // 1000
        fields[f"{prefix}Device"] = as_device(identity.dev)
        fields[f"{prefix}Inode"] = identity.ino
    if facts is not None:
        fields[f"{prefix}Size"] = facts.size
        fields[f"{prefix}CreationTime"] = facts.created_us
        fields[f"{prefix}ModificationTime"] = facts.modified_us
        fields[f"{prefix}Md5"] = facts.md5
        fields[f"{prefix}Sha256"] = facts.sha256
    return fields


def _content_fields(record: FileChange) -> Event:
    facts = record.facts
    if facts is None:
        return {}
    return {
        "DroppedFileType": facts.file_type,
        "DroppedFuzzyHash": facts.fuzzy,
        "DroppedEntropy": facts.entropy,
        "DroppedHeader": facts.header,
    }
