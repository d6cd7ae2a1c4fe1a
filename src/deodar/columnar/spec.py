"""The declarative mapping of events to columns, as plain values.

A `Spec` says which source path feeds which column for which event types, and by which steps. It
holds no code: `deodar.columnar.interpreter` executes it literally, one event at a time, and
`deodar.columnar.program` compiles it. Both must give the same rows.

What a row is, in the words that both follow:

* A path is a field name of the event, or dotted steps into nested objects. A number in a path
  picks one element of a list; without a number a list stands for all its elements.
* A value is empty when it is absent, null, "" or an empty list. An empty value never fills a
  column.
* An event whose type the spec does not know is a row like any other: the rules without a condition
  apply to it.
* For each column the rules that apply to the event's type are tried in order; the first one that
  gives a value wins.
* ``Extra`` maps the name of a field to its whole value, as text or else as JSON. A field is in it
  if no rule reads it, if it is an object or list read only in parts, if another field took its
  only place, if it could not be converted to its column's type, or if it was cut to its column's
  length.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (msgspec reads the annotations)
from typing import Literal

from msgspec import Struct

from deodar.columnar.errors import SpecError
from deodar.columnar.steps import Step  # noqa: TC001  (msgspec reads the annotations)

Kind = Literal["string", "integer", "float", "strings"]
"""What a source field holds: text, int64, float64, or a list of texts."""

Type = Literal["string", "int64", "float64", "strings"]
"""What a column holds: text ("" when empty), int64, float64, or a list of texts."""

EXTRA = "Extra"
"""Name of the column Map(String, String) that keeps what no other column has."""

OTHER = ""
"""Stands for all event types that a spec does not know; rules without a condition apply to it."""

RAW = "Raw"
"""Name of the column that keeps the source text, if the spec wants it."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to fill a column: from a path or by a constant, for all or for some event types."""

    path: str | None = None
    constant: str | int | float | None = None
    when: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    label: str = ""

    def applies(self, event_type: str) -> bool:
        """True if the rule is for events of this (canonical) type."""
        return not self.when or event_type in self.when


class Column(Struct, frozen=True, forbid_unknown_fields=True):
    """A column of the result: its type, its rules in the order of right of way, its limits."""

    target: str
    type: Type
    rules: tuple[Rule, ...] = ()
    nullable: bool = False
    max_length: int | None = None
    label_target: str = ""


class Spec(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping.

    ``kinds`` gives the kind of each source path (text if not named). ``types`` gives for each known
    event type the fields that its events usually carry, in their usual order.
    ``aliases`` maps other spellings of a type's name to the known one.
    """

    name: str
    columns: tuple[Column, ...]
    discriminator: str = "EventType"
    kinds: Mapping[str, Kind] = {}
    types: Mapping[str, tuple[str, ...]] = {}
    aliases: Mapping[str, str] = {}
    extra: bool = True
    raw: Literal["never", "error", "always"] = "never"
    raw_limit: int = 16384

    def kind(self, path: str) -> Kind:
        """Return the kind of the source at a path; text when the spec does not say."""
        return self.kinds.get(path, "string")

    def canonical(self, event_type: str) -> str:
        """Return the type name that rules use for this spelling; the same text if it is unknown."""
        return self.aliases.get(event_type, event_type)

    @property
    def all_types(self) -> tuple[str, ...]:
        """The known event types and OTHER; the place of a type is its code."""
        return (*self.types, OTHER)

    def known(self, event_type: str) -> str:
        """Return the type name that rules use for this spelling, OTHER if there is no such type."""
        name = self.canonical(event_type)
        return name if name in self.types else OTHER

    def rules(self, column: Column, event_type: str) -> tuple[Rule, ...]:
        """Return the rules of a column for a canonical event type, best first."""
        return tuple(rule for rule in column.rules if rule.applies(event_type))

    def reads(self, event_type: str) -> frozenset[str]:
        """Return the paths that the rules for a canonical event type read."""
        rules = (rule for column in self.columns for rule in self.rules(column, event_type))
        return frozenset(rule.path for rule in rules if rule.path)

    def whole(self, event_type: str) -> frozenset[str]:
        """Return the fields of which the rules for a type read all, so that ``Extra`` need not."""
        paths = (path for path in self.reads(event_type) if not self.is_nested(path))
        return frozenset((*paths, self.discriminator))

    def safe(self, event_type: str) -> frozenset[str]:
        """Return the paths that come first in some column, so that they always have a place."""
        firsts = (self.rules(column, event_type)[:1] for column in self.columns)
        return frozenset(rule.path for first in firsts for rule in first if rule.path)

    def is_nested(self, path: str) -> bool:
        """True if the path leads into an object or a list."""
        return "." in path or self.kind(path) == "strings"


def head(path: str) -> str:
    """Return the field of the event that a path starts from: ``Ioa`` for ``Ioa.Rules.0.Name``."""
    return path.split(".", 1)[0]


def check(spec: Spec) -> None:
    """Raise SpecError if two columns have one name, a rule has no source, or a type is unknown."""
    seen: set[str] = {EXTRA, RAW}
    for column in spec.columns:
        for name in filter(None, (column.target, column.label_target)):
            if name in seen:
                raise SpecError(f"{spec.name}: the column {name} is defined twice, or is reserved")
            seen.add(name)
        for rule in column.rules:
            _check_rule(spec, column, rule)
    for alias, name in spec.aliases.items():
        if name not in spec.types:
            raise SpecError(f"{spec.name}: the alias {alias} names an unknown event type {name}")


_CONSTANTS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int64": (int,),
    "float64": (int, float),
    "strings": (),
}


def _check_rule(spec: Spec, column: Column, rule: Rule) -> None:
    place = f"{spec.name}: column {column.target}"
    if (rule.path is None) == (rule.constant is None):
        raise SpecError(f"{place}: a rule needs either a path or a constant")
    if rule.path == "" or (rule.path and "" in rule.path.split(".")):
        raise SpecError(f"{place}: the path {rule.path!r} has an empty part")
    if rule.constant is not None and not isinstance(rule.constant, _CONSTANTS[column.type]):
        raise SpecError(f"{place}: {rule.constant!r} is no constant for a column of {column.type}")
    if rule.constant is not None and rule.steps:
        raise SpecError(f"{place}: a constant takes no steps")
    if isinstance(rule.constant, str) and len(rule.constant) > (column.max_length or 2**31):
        raise SpecError(f"{place}: the constant is longer than {column.max_length} characters")
    unknown = sorted(set(rule.when) - set(spec.types))
    if unknown:
        raise SpecError(f"{place}: unknown event type {unknown[0]} in `when`")
    if rule.label and not column.label_target:
        raise SpecError(f"{place}: has a label, but no column to put it into")
