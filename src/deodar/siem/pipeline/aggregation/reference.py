"""The page docs/reference/aggregation.md, made from the settings' type and the bounds."""

from __future__ import annotations

from deodar.siem.pipeline.aggregation.rule import AggregationSettings
from deodar.siem.pipeline.aggregation.window import AGGREGATED, MAX_JOINED, MAX_UNIQUE
from deodar.siem.setting_tables import settings_table

_HEAD = """# Aggregation rules of a collector

*Made from the code by `make docs`.*

An aggregation rule makes one event of many that are alike:

```toml
[[aggregation]]
name = "denied connections"
filter = "DeviceAction = 'denied'"
identical = ["SourceAddress", "DestinationAddress"]
unique = ["DestinationPort"]
sum = ["BytesOut"]
```
"""

_TAIL = f"""
## The event that comes out

| field | value |
|---|---|
| `Type` | {AGGREGATED} |
| `BaseEventCount` | how many events it stands for; an aggregated one counts for its own |
| `AggregationRuleID`, `AggregationRuleName` | the rule |
| `StartTime`, `EndTime` | the earliest and the latest time of the events: theirs, or `Timestamp` |
| `Timestamp` | when the answer was fetched with which the group was complete |
| `identical` fields | what all the events hold |
| `sum` fields | the sums, at most what 64 bits hold |
| `unique` fields | the value, if there is one; else a list, `22, 80`, cut to the field's length |

A list that does not fit its field, or is of numbers, is whole (up to {MAX_JOINED:,} characters) in
`Extra` under the field's name. A group with more than {MAX_UNIQUE:,} different values of one field
becomes an event early. Everything else of the events is left out: name what is wanted, such as
`DeviceVendor` and `DeviceProduct`, in `identical`.

## What is promised

- Aggregation is the last stage, behind filters and enrichment, so that it can group by what was
  added. KUMA's own order of these two is not publicly known.
- Each event is counted once, also when the collector is killed: what was done with each answer is
  written to `aggregation/` in the collector's folder before anything is sent. An answer that is
  delivered again, or later to a destination that is behind, gives the same events under the same
  ids, even if rules, dictionaries or names have changed since.
- Time is that of the journal: when answers were fetched. So a collector that works off an hour of
  backlog groups as it would have done then. While nothing comes, the journal gets a record a
  second at most that lets groups end.
- A clock that is set back by more than ten seconds ends all groups.
- When a rule is taken away, or its `identical`, `unique` or `sum` fields change, its open groups
  become events with the next answer; a changed filter, threshold or lifetime leaves them open.
- Texts beyond `max_bytes` and groups beyond `max_windows` end the oldest groups early. Those are
  counted as `aggregated_early`.
"""


def page() -> str:
    """Return the page's text."""
    return "\n".join([_HEAD, "## Settings\n", settings_table(AggregationSettings), _TAIL.lstrip()])
