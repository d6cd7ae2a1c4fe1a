"""The reference page of the agent's own events, made from their types and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.journal.event_types import EventType
from deodar.agent.journal.keeper import HELD
from deodar.agent.journal.query import MAXIMUM_LENGTH
from deodar.agent.journal.record import FIELDS, MAXIMUM_DETAILS, MAXIMUM_TEXT
from deodar.agent.journal.repeats import BURST, WINDOW
from deodar.agent.journal.store import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = f"""\
# The agent's own events

<!-- Made by `make docs` from src/deodar/agent/journal. -->

What happened to the agent, for its administrator: tasks, settings, policy, the server, losses. They
stay on the host, in `events.db` in the agent's folder, and are read with `deodar agent events`.
The telemetry of the host is another matter: [Events](events.md).

- The file keeps the last {LIMIT:,} events (the setting `MaxEventsNumber`); the oldest go first.
- With `UseSyslog=Yes` each event also goes to the system's log, one line each.
- The same event again within {WINDOW:.0f} seconds is counted in the first one: `RepeatCount` says
  how often it was in all, `RepeatLastDate` when the last was. Of more than {BURST} different ones
  of one type in that time, the rest are counted in the last.
- While the disk takes nothing, {HELD:,} events are held in memory and stored afterwards; what went
  beyond that is counted in a `DiskProblem`. A damaged file is set aside as `events.db.set-aside`.
"""

_QUERIES = f"""\
## Queries

`deodar agent events --query "…"` and `--follow --query "…"` take the filter language of
`kesl-control`:

```
EventType == 'TaskStateChanged' and TaskName like 'KATA%' and Date > '2026-11-22 10:00:00'
```

A condition is `field operator 'value'`; conditions are joined by `and`, and by nothing else. The
value is always in single quotes; a quote in it is written twice. A query has at most
{MAXIMUM_LENGTH:,} characters. The case of field names, of `and` and of `like` is free.

| Operator | Meaning |
|---|---|
| `==`, `!=` | equal, not equal; texts compare exactly, upper and lower case apart |
| `<`, `<=`, `>`, `>=` | order: of numbers, of times, or of texts by code point |
| `like` | the whole text fits the mask, `%` stands for any characters; case does not matter |

- A time is a number of seconds since 1970-01-01 00:00 UTC, or `YYYY-MM-DD hh:mm:ss` in local time.
  Times compare as whole seconds, as they are shown.
- `EventId`, `TaskId` and `RuntimeTaskId` compare as numbers. They and `Date` take no `like`.
- Any detail can be asked for by its name, such as `TaskState == 'Stopped'`. An event that has not
  got the detail counts as one with an empty text. The order of details is that of numbers where
  both sides are numbers.
"""

_DETAILS = f"""
Details follow, by type; at most {MAXIMUM_DETAILS}, each of at most {MAXIMUM_TEXT:,} characters.
Bytes that are not UTF-8 are shown as `?`, one for each. As lines, characters of control are `?`
too, `Date` is local time, and events about no task have no fields of tasks. With `--json`, `Date`
is seconds since 1970-01-01 00:00 UTC.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([_HEAD, *_fields(), *_types(), _QUERIES])


def _fields() -> Iterator[str]:
    yield "## Fields\n"
    yield "| Field | Kind | Meaning |"
    yield "|---|---|---|"
    for field in FIELDS:
        yield f"| `{field.name}` | {field.kind} | {field.meaning} |"
    yield _DETAILS


def _types() -> Iterator[str]:
    yield "## Types\n"
    yield "| EventType | Meaning | DangerLevel, usually | Details |"
    yield "|---|---|---|---|"
    for kind in EventType:
        details = ", ".join(f"`{name}`" for name in kind.details)
        yield f"| `{kind.value}` | {kind.meaning} | `{kind.level}` | {details} |"
    yield ""
