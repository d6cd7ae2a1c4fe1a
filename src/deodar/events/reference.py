"""The reference page of events, made from the vocabulary.

`python -m deodar.events.reference` prints `docs/reference/events.md`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from deodar.events.builders import EventBuilder
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.events.vocabulary import EventType, Field, Group

_HEAD = """\
# Events

<!-- Made by `python -m deodar.events.reference` from src/deodar/events/vocabulary.toml. -->

An event is a JSON object. Agents send such objects, the EDR server stores them and serves them by
the KATA events API, filters ([KEDRQL](kedrql.md)) name their fields, and the SIEM normalizes them.

- Times are integers: microseconds since 1970-01-01 00:00 UTC.
- A dotted name is a path: `Ioa.Rules.Name` is the key `Name` of every object in the list `Rules` of
  the object `Ioa`.
- A field that does not apply is absent. A null counts as absent.
- Lookups ignore case and know the aliases. Events themselves carry the names as printed here.
- **?** marks a name that is inferred: a server of another make may spell it differently.
- **D** marks what Deodar adds to the vocabulary of KATA.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, *_types(), *_groups(), *_sample()]
    return "\n".join(parts)


def main() -> None:
    """Print the page."""
    sys.stdout.write(page())


def _types() -> Iterator[str]:
    yield "## Event types\n"
    yield "When there is too much, events of low importance are held back or given up first, those"
    yield "of high importance last.\n"
    yield "| Type | Meaning | Endpoints | Importance | Fields beside those of every event |"
    yield "|---|---|---|---|---|"
    for kind in VOCABULARY.types.values():
        marks = " **D**" if kind.extension else ""
        alias = "".join(f", also read as `{name}`" for name in kind.aliases)
        where = "Linux" if kind.extension else "Linux, Windows" if kind.linux else "Windows"
        meaning = f"{kind.title}: {kind.meaning}{alias}"
        cells = (f"`{kind.name}`{marks}", meaning, where, kind.importance, _parts(kind))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _parts(kind: EventType) -> str:
    """Return links to the groups that the type has in full, and its other fields by name."""
    own = [name for name in kind.fields if name not in VOCABULARY.common]
    groups = [g for g in VOCABULARY.groups.values() if set(g.fields) <= set(own)]
    grouped = {name for group in groups for name in group.fields}
    links = [f"[{group.name}](#{_anchor(group)})" for group in groups]
    return ", ".join([*links, *(f"`{name}`" for name in own if name not in grouped)])


def _groups() -> Iterator[str]:
    yield "## Fields\n"
    for group in VOCABULARY.groups.values():
        common = set(group.fields) <= set(VOCABULARY.common)
        yield f"### {group.title}\n"
        note = "In every event." if common else group.note
        if note:
            yield f"{note}\n"
        yield "| Field | Kind | Meaning |"
        yield "|---|---|---|"
        yield from (_row(VOCABULARY.fields[name]) for name in group.fields)
        yield ""


def _row(field: Field) -> str:
    marks = ("" if field.certain else " **?**") + (" **D**" if field.source == "deodar" else "")
    kind = {"strings": "list of strings"}.get(field.kind, field.kind)
    unit = f", {field.unit}" if field.unit else ""
    return f"| `{field.name}`{marks} | {kind}{unit} | {'; '.join(_explained(field))} |"


def _explained(field: Field) -> Iterable[str]:
    yield field.meaning
    if field.name in VOCABULARY.required:
        yield "required"
    if field.values:
        yield ", ".join(f"{number} {label}" for number, label in field.values)
    if field.aliases:
        yield "also read as " + ", ".join(f"`{alias}`" for alias in field.aliases)


def _anchor(group: Group) -> str:
    """Return the anchor that Markdown renderers make from the group's title."""
    kept = [c for c in group.title.lower() if c.isalnum() or c in " -_"]
    return "".join(kept).replace(" ", "-")


def _sample() -> Iterator[str]:
    yield "## A sample\n"
    yield "One event of type `process`, with the mark-up of a detection rule:\n"
    yield "```json"
    yield json.dumps(_marked_event(), indent=2, ensure_ascii=False)
    yield "```\n"
    yield "`deodar.events.builders.EventBuilder` makes as many more as you want:\n"
    yield "```python"
    yield "from deodar.events.builders import EventBuilder"
    yield ""
    yield "builder = EventBuilder(seed=1)"
    yield 'one = builder.event("connection")  # an object'
    yield "lines = builder.ndjson(10_000)  # JSON lines, as bytes"
    yield "```\n"


def _marked_event() -> dict[str, Any]:
    builder = EventBuilder(1)
    return next(e for e in iter(lambda: builder.event("process"), None) if "Ioa" in e)


if __name__ == "__main__":
    main()
