"""The reference page of the built-in normalizer, made from its file.

`python -m deodar.siem.normalizers.reference` prints `docs/reference/normalizer-kedr.md`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deodar.columnar.spec import head
from deodar.events.vocabulary import VOCABULARY
from deodar.siem.normalizers.explain import Way, lines
from deodar.siem.normalizers.loader import document, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.siem.normalizers.document import Line

_HEAD = """\
# The normalizer `kedr`

<!-- Made by `python -m deodar.siem.normalizers.reference` from
src/deodar/siem/normalizers/kedr.yaml. -->

It makes normalized events ([event model](event-model.md)) of KEDR events ([events](events.md)). The
vendor's documented mapping has the first word, then the community's normalizer "KEDR (JSON)"; what
neither knows is kept in `Extra`.

- Of the lines for one target, the first whose field has a value wins. A field that comes too late
  is kept in `Extra` under its name, if it has no other place.
- Times become milliseconds. Numbers of an enumeration become words by the dictionaries below; a
  number that is not in its dictionary stays as it is.
- A text longer than its target is cut to the target's length; the whole is kept in `Extra`.
- A value of the wrong kind is converted where that loses nothing: `"12"` and `12.0` to 12, a number
  to its digits, an object to its JSON text. One that cannot be converted (`"abc"` for a number,
  a number beyond 64 bits) leaves its target empty and is kept in `Extra`; such an event has its
  whole text in `Raw`.
- A label stands in the target's `…Label` only if the target has a value.
- An event of an unknown type is a row like any other: the lines for every event apply to it.
- What is not a JSON object, not UTF-8, holds half of a surrogate pair or is nested deeper than 64
  levels in a field becomes a dead letter.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, *_sections(), *_dictionaries(), *_in_extra(), *_by_type()]
    return "\n".join(parts) + "\n"


def _sections() -> Iterator[str]:
    yield "## Lines\n"
    for section in document("kedr").sections:
        types = ", ".join(f"`{name}`" for name in section.when) or "every type"
        yield f"### {section.title}\n"
        if section.names:
            yield "| Event type | `Name` |\n|---|---|"
            yield from (f"| `{key}` | {name} |" for key, name in section.names.items())
        else:
            yield f"For {types}.\n"
            yield "| From | To | Label | Steps |\n|---|---|---|---|"
            yield from (_constant(to, value) for to, value in section.constants.items())
            yield from map(_line, section.mapping)
        yield ""


def _constant(target: str, value: object) -> str:
    return f"| “{value}” | `{target}` | | constant |"


def _line(line: Line) -> str:
    sources = ", else ".join(f"`{path}`" for path in line.sources)
    steps = ", ".join(map(_step, line.steps))
    return f"| {sources} | `{line.to}` | {line.label} | {steps} |"


def _step(step: object) -> str:
    if isinstance(step, dict):
        return ", ".join(f"{name} `{value}`" for name, value in step.items())
    return str(step)


def _dictionaries() -> Iterator[str]:
    yield "## Dictionaries\n"
    for name, table in document("kedr").dictionaries.items():
        yield f"- `{name}`: " + ", ".join(f"{key} {value}" for key, value in table.items())
    yield ""


def unmapped() -> tuple[str, ...]:
    """Return the fields of the vocabulary that no line reads, for any type: they are in Extra."""
    spec = load("kedr")
    read = {path for name in spec.types for path in spec.reads(name)}
    read |= {head(path) for path in read if spec.is_nested(path)}
    return tuple(n for n in VOCABULARY.fields if n not in read and head(n) not in read)


def _in_extra() -> Iterator[str]:
    yield "## Fields without a target\n"
    yield "No line reads these; they are in `Extra` under their names."
    yield "`Ioa`, `System` and `EventData` are there, too, whole and as JSON.\n"
    yield ", ".join(f"`{name}`" for name in unmapped())
    yield ""


def _by_type() -> Iterable[str]:
    yield "## By event type\n"
    yield "How many targets an event of each type can fill.\n"
    yield "| Event type | Targets |\n|---|---|"
    spec = load("kedr")
    for name, kind in VOCABULARY.types.items():
        ways: Iterable[Way] = lines(spec, name)
        carried = {head(field) for field in kind.fields}
        filled = {w.target for w in ways if w.source.startswith("“") or head(w.source) in carried}
        yield f"| `{name}` | {len(filled)} |"


def main() -> None:
    """Print the page."""
    sys.stdout.write(page())


if __name__ == "__main__":
    main()
