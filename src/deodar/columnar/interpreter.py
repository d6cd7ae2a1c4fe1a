"""The executable specification: a `Spec` carried out literally, one event at a time.

It is slow and it takes what the compiled program refuses: values of the wrong type. A property test
holds that both give the same row wherever the program gives one.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from deodar.columnar.fields import Fields
from deodar.columnar.spec import Column, Rule, Spec, head
from deodar.columnar.steps import Convert, compile_steps
from deodar.columnar.values import COERCE, FAILED, as_kept, decode_object, is_empty, walk


class Note(Struct, frozen=True):
    """A field that did not fit, and why; its value is in ``Extra``."""

    path: str
    reason: str


class Row(Struct, frozen=True):
    """One row: the columns that are filled, by which rule; the extra fields; what did not fit."""

    values: dict[str, Any]
    rules: dict[str, Rule]
    extra: dict[str, str]
    notes: list[Note]


class _Way(Struct, frozen=True):
    """A rule of a column, with what it needs at hand."""

    rule: Rule
    field: str
    inner: tuple[str, ...]
    coerce: Convert
    convert: Convert


class _Plan(Struct, frozen=True):
    """What holds for all events of a type."""

    columns: tuple[tuple[Column, tuple[_Way, ...]], ...]
    whole: frozenset[str]
    safe: frozenset[str]


class Interpreter:
    """Executes one spec."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.fields = Fields(spec)
        self._plans: dict[str, _Plan] = {}

    def row(self, raw: bytes) -> Row:
        """Return the row of an event's JSON text; raise Refused if it cannot become one."""
        return _Reading(self, decode_object(raw)).row()

    def plan(self, event_type: str) -> _Plan:
        """Return what holds for a type (OTHER for all that are unknown)."""
        if event_type not in self._plans:
            self._plans[event_type] = self._make_plan(event_type)
        return self._plans[event_type]

    def _make_plan(self, event_type: str) -> _Plan:
        spec = self.spec
        columns = [
            (column, tuple(self._way(column, rule) for rule in spec.rules(column, event_type)))
            for column in spec.columns
        ]
        used = tuple((column, ways) for column, ways in columns if ways)
        return _Plan(used, spec.whole(event_type), spec.safe(event_type))

    def _way(self, column: Column, rule: Rule) -> _Way:
        path = rule.path or ""
        field, *inner = path.split(".")
        coerce = COERCE[self.spec.kind(path)]
        return _Way(rule, field, tuple(inner), coerce, compile_steps(rule.steps, column.type))


class _Reading:
    """What is known while one event is read."""

    def __init__(self, interpreter: Interpreter, event: dict[str, Any]) -> None:
        self._interpreter = interpreter
        self._spec = interpreter.spec
        self._event = event
        given = event.get(self._spec.discriminator)
        self._given = "" if given is None else as_kept(given)
        self._plan = interpreter.plan(self._spec.known(self._given))
        self._values: dict[str, Any] = {}
        self._rules: dict[str, Rule] = {}
        self._kept: dict[str, None] = {}
        self._notes: dict[Note, None] = {}

    def row(self) -> Row:
        for column, ways in self._plan.columns:
            self._fill(column, ways)
        self._keep_the_rest()
        text = self._interpreter.fields.kept
        extra = {name: text(name, self._event[name]) for name in self._kept}
        extra = extra if self._spec.extra else {}
        return Row(self._values, self._rules, extra, list(self._notes))

    def _fill(self, column: Column, ways: tuple[_Way, ...]) -> None:
        filled = False
        for way in ways:
            value = self._source(way)
            if value is None:
                continue
            if not filled:
                filled = self._place(column, way, value)
            elif way.rule.path not in self._plan.safe:
                self._keep(way.rule.path)

    def _source(self, way: _Way) -> Any:
        """Return a rule's value before its steps, in the kind of its source; None if empty."""
        path = way.rule.path
        if path is None:
            return way.rule.constant
        if path == self._spec.discriminator:
            return self._given or None
        value = self._event.get(way.field)
        if way.inner:
            value = walk(value, way.inner)
        if is_empty(value):
            return None
        value = way.coerce(value)
        if value is FAILED:
            self._fail(path, f"is no {self._spec.kind(path)}")
        return None if value is FAILED or is_empty(value) else value

    def _place(self, column: Column, way: _Way, value: Any) -> bool:
        rule = way.rule
        value = way.convert(value)
        if value is FAILED:
            self._fail(rule.path or "", f"cannot be converted to {column.type}")
            return False
        if value is None:
            return False
        if column.max_length is not None and len(value) > column.max_length:
            value = value[: column.max_length]
            self._keep(rule.path)
        self._values[column.target] = value
        self._rules[column.target] = rule
        if rule.label:
            self._values[column.label_target] = rule.label
        return True

    def _fail(self, path: str, reason: str) -> None:
        self._notes[Note(path, reason)] = None
        self._keep(path)

    def _keep(self, path: str | None) -> None:
        if path and path != self._spec.discriminator and not is_empty(self._event.get(head(path))):
            self._kept[head(path)] = None

    def _keep_the_rest(self) -> None:
        for name, value in self._event.items():
            if name not in self._plan.whole and not is_empty(value):
                self._kept[name] = None
