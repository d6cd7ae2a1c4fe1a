"""The page docs/reference/destinations.md, made from the registry and the settings' types."""

from __future__ import annotations

from deodar.siem.destinations.base import CommonSettings
from deodar.siem.destinations.cef import key_of
from deodar.siem.destinations.registry import KINDS
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.setting_tables import common, module_prose, settings_table
from deodar.siem.storage.model import MODEL

_HEAD = """# Destinations of a collector

*Made from the code by `make docs`.*

Every collector stores its events in the SIEM. Besides that it can send them on to destinations,
which are tables in its `collector.toml`; a restart of the collector applies a change:

```toml
[[destinations]]
name = "archive"
kind = "file"
path = "/var/log/deodar/events.jsonl"
compression = "zstd"
filter = "DeviceEventCategory = 'process' AND SourceUserName = 'root'"
```

`deodar siem destination list` shows what became of the events of each, `deodar siem destination
check` whether it can be reached. The collector's metrics have the same counts.

## What is promised

- The collector's journal is the buffer: each destination has a place of its own in it, which
  outlives restarts. A slow or dead destination holds back no other, until the journal is full of
  what the storage itself has not taken.
- Each event is delivered at least once, also when the collector is killed; a repeat carries the
  same batch id, and the same event IDs. The storage, and another Deodar, keep each event once.
- What a destination is behind by more than `buffer_bytes` or `buffer_seconds` is given up, oldest
  first, for this destination alone; the events are counted by cause, and told in the log and the
  status.
- What a destination refuses for good (an event too long, say) is counted, and the whole answer
  that it was in is kept among the dead letters. Everything else is tried again.
- Syslog knows no acknowledgement: what the receiving host has confirmed over TCP may still be
  lost if the receiver dies before it reads it, and nobody confirms a datagram.
"""


def page() -> str:
    """Return the page's text."""
    parts = [_HEAD, "## Settings of every kind\n", settings_table(CommonSettings)]
    for name in sorted(KINDS):
        kind = KINDS[name]
        parts += [f"## `{name}`: {kind.summary}\n", f"{module_prose(kind.open)}\n"]
        parts.append(settings_table(kind.settings, common(CommonSettings)))
    parts += ["## `tls`\n", settings_table(TlsSettings)]
    parts += ["## Keys of the form `cef`\n", _keys()]
    return "\n".join(parts)


def _keys() -> str:
    names = [*MODEL, "BatchID"]
    rows = ["| field | key | field | key |", "|---|---|---|---|"]
    half = (len(names) + 1) // 2
    for number in range(half):
        cells = [f"`{names[number]}` | `{key_of(names[number])}`"]
        other = number + half
        cells.append(
            f"`{names[other]}` | `{key_of(names[other])}`" if other < len(names) else " | "
        )
        rows.append(f"| {' | '.join(cells)} |")
    return (
        "What is in the header (vendor to name, and severity) is not repeated behind it.\n\n"
        + "\n".join(rows)
        + "\n"
    )
