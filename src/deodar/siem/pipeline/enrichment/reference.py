"""The page docs/reference/enrichment.md, made from the registry and the settings' types."""

from __future__ import annotations

from deodar.siem.pipeline.enrichment import go_template
from deodar.siem.pipeline.enrichment.base import RuleSettings
from deodar.siem.pipeline.enrichment.go_template import FUNCTIONS
from deodar.siem.pipeline.enrichment.registry import KINDS
from deodar.siem.setting_tables import common, module_prose, prose, settings_table

_HEAD = """# Enrichment rules of a collector

*Made from the code by `make docs`.*

Rules fill fields of events from elsewhere. They are tables in `collector.toml`, and work in their
order on the events that passed the collector's filters, so a rule sees what those before it wrote:

```toml
[[enrichment]]
name = "names of sources"
kind = "dns"
field = "SourceAddress"
target = "SourceHostName"
filter = "SourceHostName = '' AND SourceAddress inSubnet '10.0.0.0/8'"
```

- A rule may write the fields that normalizers write, `Timestamp`, `SpaceID`, and entries of `Extra`
  and `TI` (`Extra.Owner`); not those that a collector, a correlator or the core sets.
- A value that the field cannot hold is counted as an error and not written; a text that is too long
  for the field is cut, and counted too. `deodar siem collector status` and the metrics have the
  counts.
- Each distinct value of a batch is looked up once.
- Relative names of files are looked for in the collector's folder.
- Kinds of KUMA that are not here: `table` (a dictionary with several columns does the same),
  `cybertrace`.
"""


def page() -> str:
    """Return the page's text."""
    parts = [_HEAD, "## Settings of every kind\n", settings_table(RuleSettings)]
    for name in sorted(KINDS):
        kind = KINDS[name]
        parts += [f"## `{name}`: {kind.summary}\n", f"{module_prose(kind.open)}\n"]
        parts.append(settings_table(kind.settings, common(RuleSettings)))
    rows = ["| function | arguments | result |", "|---|---|---|"]
    rows += [f"| `{name}` | {one.arguments} | {one.summary} |" for name, one in FUNCTIONS.items()]
    return "\n".join([*parts, "## Templates\n", f"{prose(go_template)}\n", *rows, ""])
