"""Normalizer files to specs, checked against the vocabulary and the event model.

What a file leaves unsaid is put in here: a time in microseconds that goes to a time of the model is
divided by 1000; a text is cut to the length of its field; a label goes to the field's label.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from deodar.columnar.errors import SpecError
from deodar.columnar.spec import Column, Kind, Rule, Spec, check, head
from deodar.columnar.steps import Divide
from deodar.events.vocabulary import VOCABULARY
from deodar.siem.normalizers.conversions import step
from deodar.siem.normalizers.document import Document, Key, Line, Section, Source
from deodar.siem.normalizers.errors import NormalizerError
from deodar.siem.storage.model import MODEL, ModelField, label_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.columnar.spec import Type
    from deodar.columnar.steps import Step

DISCRIMINATOR = "EventType"
_MICROSECONDS = "µs since the epoch"
_TYPES: dict[str, Type] = {
    "string": "string",
    "integer": "int64",
    "time": "int64",
    "float": "float64",
    "strings": "strings",
}
_KINDS = ("string", "integer", "float", "strings")


def built_in() -> tuple[str, ...]:
    """Return the names of the normalizers that come with Deodar."""
    files = resources.files("deodar.siem.normalizers").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load(name: str | Path) -> Spec:
    """Return the spec of a built-in normalizer by name, or of a file by path.

    Raises NormalizerError: no such normalizer, or file and line of what is wrong in it.
    """
    return parse(*_text(name))


def document(name: str | Path) -> Document:
    """Return a normalizer as it is written. Raises NormalizerError like `load`."""
    return Source(*_text(name)).document()


def parse(text: str, file: str) -> Spec:
    """Return the spec that a text describes; `file` is what errors call it."""
    return _Compiler(Source(text, file)).spec()


def _text(name: str | Path) -> tuple[str, str]:
    if str(name) in built_in():
        file = resources.files("deodar.siem.normalizers").joinpath(f"{name}.yaml")
        return file.read_text("utf-8"), f"{name}.yaml"
    path = Path(name)
    if not path.is_file():
        known = ", ".join(built_in())
        raise NormalizerError(
            f"there is no normalizer {name}: give a path, or one of these: {known}"
        )
    try:
        return path.read_text("utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise NormalizerError(f"{path} cannot be read: {error}") from error


class _Compiler:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._document = source.document()
        self._rules: dict[str, list[Rule]] = {}

    def spec(self) -> Spec:
        for index, section in enumerate(self._document.sections):
            self._section(section, ("sections", index))
        spec = Spec(
            name=self._document.name,
            columns=tuple(_column(target, rules) for target, rules in self._rules.items()),
            discriminator=DISCRIMINATOR,
            kinds=self._kinds(),
            types={name: _heads(kind.fields) for name, kind in VOCABULARY.types.items()},
            aliases={a: name for name, kind in VOCABULARY.types.items() for a in kind.aliases},
            extra=self._document.save_extra,
            raw=self._raw(),
        )
        try:
            check(spec)
        except SpecError as error:
            raise self._source.error((), str(error)) from error
        return spec

    def _raw(self) -> Literal["never", "error", "always"]:
        match self._document.keep_raw:
            case "never" | "error" | "always" as raw:
                return raw
        raise self._source.error(("keep_raw",), "keep_raw is never, error or always")

    def _kinds(self) -> dict[str, Kind]:
        kinds: dict[str, Kind] = {field.name: field.kind for field in VOCABULARY.fields.values()}
        for path, kind in self._document.kinds.items():
            if kind not in _KINDS:
                raise self._source.error(("kinds", path), f"a kind is one of {', '.join(_KINDS)}")
            kinds[path] = cast("Kind", kind)
        return kinds

    def _section(self, section: Section, key: Key) -> None:
        when = tuple(self._event_type(t, (*key, "when", i)) for i, t in enumerate(section.when))
        for event_type, name in section.names.items():
            known = self._event_type(event_type, (*key, "names", event_type))
            self._add(Line("Name", ()), Rule(constant=name, when=(known,)), (*key, "names"))
        for index, line in enumerate(section.mapping):
            for rule in self._line(line, when, (*key, "mapping", index)):
                self._add(line, rule, (*key, "mapping", index, "to"))
        for target, value in section.constants.items():
            line = Line(target, ())
            self._add(line, Rule(constant=value, when=when), (*key, "constants", target))

    def _event_type(self, name: str, key: Key) -> str:
        if name not in VOCABULARY.types:
            raise self._source.error(key, f"there is no event type {name}")
        return name

    def _line(self, line: Line, when: tuple[str, ...], key: Key) -> Iterator[Rule]:
        for path in line.sources:
            steps = tuple(self._step(line, index, key) for index in range(len(line.steps)))
            if _is_time(path) and line.to in MODEL and MODEL[line.to].kind == "time":
                steps = (*steps, Divide(1000))
            yield Rule(path=path, when=when, steps=steps, label=line.label)

    def _step(self, line: Line, index: int, key: Key) -> Step:
        try:
            return step(line.steps[index], self._document.dictionaries)
        except ValueError as error:
            raise self._source.error((*key, "steps", index), str(error)) from error

    def _add(self, line: Line, rule: Rule, key: Key) -> None:
        field = MODEL.get(line.to)
        if field is None:
            raise self._source.error(key, f"the event model has no field {line.to}")
        if field.set_by != "normalizer" or field.label_of:
            owner = f"its slot {field.label_of}" if field.label_of else f"the {field.set_by}"
            raise self._source.error(key, f"{line.to} is set by {owner}, not by a normalizer")
        if rule.label and label_field(line.to) is None:
            raise self._source.error(key, f"{line.to} is no slot: it takes no label")
        self._rules.setdefault(line.to, []).append(rule)


def _column(target: str, rules: list[Rule]) -> Column:
    field: ModelField = MODEL[target]
    return Column(
        target=target,
        type=_TYPES[field.kind],
        rules=tuple(rules),
        max_length=field.max_length,
        label_target=(label_field(target) or "") if any(rule.label for rule in rules) else "",
    )


def _is_time(path: str) -> bool:
    field = VOCABULARY.fields.get(path)
    return field is not None and field.unit == _MICROSECONDS


def _heads(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(head(name) for name in names))
