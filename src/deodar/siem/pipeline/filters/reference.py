"""The page docs/reference/filter-language.md, made from the operators and the bounds."""

from __future__ import annotations

from deodar.siem.pipeline.dictionaries import DictionarySettings
from deodar.siem.pipeline.filters.conditions import MAX_VALUES
from deodar.siem.pipeline.filters.constants import LONGEST_PATTERN, TEXTS
from deodar.siem.pipeline.filters.filter import FilterSettings
from deodar.siem.pipeline.filters.operators import ELSEWHERE, OPERATORS
from deodar.siem.pipeline.filters.parser import MAX_BYTES, MAX_CONDITIONS, MAX_DEPTH
from deodar.siem.setting_tables import settings_table

_HEAD = f"""# Filters: conditions on normalized events

*Made from the code by `make docs`.*

Filters of a collector, of enrichment and aggregation rules and of destinations are written in the
condition language of KUMA:

```
DeviceEventClassID = ['4624', '4768'] AND NOT DestinationUserName endsWith '$'
SourceAddress inSubnet '10.0.0.0/8' AND (DestinationPort < 1024 OR Extra.Depth >= 10)
```

- On the left is a field of the [event model](event-model.md), or an entry of a map:
  `Extra.Depth`.
- On the right is a text in quotes, a number, a list of them in `[ ]`, or another field of the
  event. With a list a condition is met when it is for one of its values (`hasBit`: for all of
  them).
- `NOT` binds tighter than `AND`, `AND` tighter than `OR`; the case of words and operators is free.
- In a text `\\'` is a quote and `\\\\` a backslash; a backslash before anything else is one.
- Texts are compared with their case, unless `ignoreCase` stands behind the condition (Deodar's own
  word; in KUMA it is a mark of a node).
- A field that an event does not have is an empty text, 0 or an empty list, as in the store.
- A number on the right of a text field is its text for `=`; with `<`, `<=`, `>`, `>=` the field's
  text is compared as a number, and one that is none meets nothing.
- A filter has at most {MAX_BYTES:,} bytes, {MAX_CONDITIONS} conditions, {MAX_DEPTH} parentheses in
  one another, and {MAX_VALUES:,} values in a list; a dictionary holds more.
- What a filter names is checked when the settings are read: fields, types, operators, expressions.

`deodar siem filter check` checks a condition, `deodar siem filter try` tries it on events.

## Operators

| operator | the field … | for fields of kind | with another field |
|---|---|---|---|
"""

_TAIL = f"""
- `match` finds an expression of [RE2](https://github.com/google/re2/wiki/Syntax), the kind that
  KUMA has, anywhere in the text. Its time is in proportion to the text, whatever the expression:
  there are no look-arounds and no back references, and at most {LONGEST_PATTERN} characters.
- `inSubnet` takes subnets and addresses; IPv4 in IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
- `hasBit` counts bits from 0; a text must be an integer.
- `intersect` takes the elements of a list, or the parts of a text between commas.
- `inDictionary` takes the name of a dictionary of the collector with one key column.

Operators of KUMA that a collector of Deodar does not have:

"""


def page() -> str:
    """Return the page's text."""
    rows = [
        f"| `{one.name}` | {one.summary} | {_kinds(one.kinds)} | {'yes' if one.compare else 'no'} |"
        for one in OPERATORS.values()
    ]
    rows.insert(1, "| `!=` | is none of the values | all | yes |")
    missing = [f"- `{name}` {reason}" for name, reason in ELSEWHERE.items()]
    return "\n".join(
        [
            _HEAD + "\n".join(rows),
            _TAIL + "\n".join(missing),
            "\n## Settings: `[[filters]]`\n",
            settings_table(FilterSettings),
            "An event goes on when it passes all filters of the collector.\n",
            "## Settings: `[[dictionaries]]`\n",
            settings_table(DictionarySettings),
        ]
    )


def _kinds(kinds: tuple[str, ...]) -> str:
    if set(kinds) == set(TEXTS):
        return "text, list of texts"
    return "all" if len(kinds) > len(TEXTS) else ", ".join(kinds).replace("string", "text")
