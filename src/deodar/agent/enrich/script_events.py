"""From a record to an event: scripts with their content, and what is typed or piped into shells."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from deodar.agent.enrich.context import text
from deodar.agent.enrich.fields import owner_fields, parent_fields
from deodar.agent.enrich.registry import converts
from deodar.agent.sensors.acts import ConsoleLine, ScriptRun

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event
    from deodar.agent.sensors.base import Act

INPUT_TYPES = {"tty": "console", "pipe": "pipe", "socket": "socket"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@converts(ScriptRun, "process_interpretated_file_run")
def process_interpretated_file_run(context: Context, record: ScriptRun) -> Event:
    """An interpreter began to run a script."""
    folder, name = os.path.split(text(record.path))
    return {
        **_actor_and_parent(context, record),
        "InterpretedFileName": name,
        "InterpretedFilePath": folder,
        "InterpretedFileFullName": text(record.path),
        "InterpretedFileSize": record.size if record.content or record.identity else None,
        "InterpretedFileMd5": record.md5,
        "InterpretedFileSha256": record.sha256,
        **_facts(context, record),
        "InterpretedFileContent": readable(record.content),
        "InterpretedFileContentTruncated": 1 if len(record.content) < record.size else None,
    }


@converts(ConsoleLine, "process_console_interactive_input")
def process_console_interactive_input(context: Context, record: ConsoleLine) -> Event:
    """Something was typed at a terminal, or came into a shell by a pipe or a socket."""
    fields = {
        **_actor_and_parent(context, record),
        "InteractiveInputText": readable(record.text),
        "InputType": INPUT_TYPES[record.source],
        "InteractiveInputTruncated": 1 if record.truncated else None,
        "InteractiveInputDropped": record.dropped or None,
    }
    if record.name:
        fields["Tty"] = record.name
    return fields


def readable(content: bytes) -> str:
    r"""Return content as text; what is not UTF-8, or does not print, shows as ``\xHH``."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text(content))


def _actor_and_parent(context: Context, record: Act) -> Event:
    process = context.processes.find(record.key)
    fields = owner_fields(context, record.key, process)
    if process is not None:
        fields.update(parent_fields(context, process))
    return fields


def _facts(context: Context, record: ScriptRun) -> Event:
    """Return what is known of the file; of a long one the hashes, too, if they came in time."""
    if record.identity is None:
        return {}
    known: Event = {
        "InterpretedFileModificationTime": record.identity.mtime_ns // 1000,
        "InterpretedFileCreationTime": record.born_ns // 1000 if record.born_ns else None,
    }
    facts = context.hasher.facts(record.identity, []) if not record.sha256 else None
    if facts is not None:
        known |= {"InterpretedFileMd5": facts.md5, "InterpretedFileSha256": facts.sha256}
    return known
