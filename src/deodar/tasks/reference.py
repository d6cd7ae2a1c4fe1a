"""The reference page of the agent's settings, made from their declarations and from what tests saw.

A setting's meaning is the text below its field. What tests saw is collected by ``pytest --seen``.
"""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from deodar.tasks import settings
from deodar.tasks.check import values_of
from deodar.tasks.declarations import KINDS, TASKS
from deodar.tasks.ini import to_ini
from deodar.tasks.schema import Setting, Shape, schema
from deodar.tasks.settings import IGNORED, KataEdrSettings
from deodar.tasks.single import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deodar.tasks.settings import Kind

    Seen = Mapping[str, Sequence[Mapping[str, str]]]

_HEAD = """\
# Settings of the agent

<!-- Made by `make docs` from src/deodar/tasks and from what the tests saw (make seen). -->

Names, defaults and numbers are those of KESL 12; **D** marks what is Deodar's own. An administrator
changes settings with `deodar agent task settings set` and `deodar agent settings set`, the EDR
server with a policy. What a policy names is locked on the host.

- Names and the values Yes and No are read in any case. Seconds may have decimals (**D**).
- A list, such as the servers, is one setting: a policy locks it as a whole. On the command line
  `Endpoints.item_0001.Port=444` changes one of it, or adds it when it is the next one;
  `Endpoints.item_0001=` takes it out.
- A file has the sectioned form below, or the flat one: `Address=` and `Port=` at the top are one
  server, and names of a section may stand there without it.
- A comment is a line of its own that begins with `;` or `#`. A text with blanks stands in double
  quotes; inside, `\\"` and `\\\\` are a quote and a backslash. Nothing may be given twice.
- In `Application` only the name `UseMDR` is known from the help of KESL; the others are inferred.
- Upper bounds of times and counts are Deodar's (**D**): the help of KESL names few.
"""


def page(seen: Seen | None = None) -> str:
    """Return the whole page as Markdown; `seen` has what tests saw, by setting."""
    parts = [_HEAD, *_tasks(), *_example()]
    for name in KINDS:
        parts += _chapter(name, seen or {})
    return "\n".join(parts)


def declared() -> dict[str, Setting]:
    """Return every setting by its name with the task's, such as ``KATAEDR.RequestTimeout``.

    A list is there itself, and the settings of its items without a number:
    ``KATAEDR.Endpoints``, ``KATAEDR.Endpoints.Address``.
    """
    return {
        f"{name}.{dotted}": setting
        for name, kind in KINDS.items()
        for dotted, setting, _ in _settings(kind)
    }


def _tasks() -> Iterator[str]:
    yield "## Tasks\n"
    yield "| Number | Name | Type | What it does | Needs |"
    yield "|---|---|---|---|---|"
    for task in TASKS:
        needs = ", ".join(f"`{name}`" for name in task.requires)
        yield f"| {task.id} | `{task.name}` | `{task.type}` | {task.title} | {needs} |"
    yield ""
    yield "The number 25 and the names of the types are Deodar's (**D**).\n"


def _example() -> Iterator[str]:
    yield "The settings of `KATAEDR` as a file, with their defaults:\n"
    yield "```ini"
    yield to_ini(values_of(KataEdrSettings())).rstrip()
    yield "```\n"


def _chapter(name: str, seen: Seen) -> Iterator[str]:
    kind = KINDS[name]
    yield f"## {name}\n"
    yield f"{(kind.__doc__ or '').strip()}\n"
    rows = list(_settings(kind))
    if rows:
        yield "| Setting | Default | Values | What it does |"
        yield "|---|---|---|---|"
        for dotted, setting, text in rows:
            yield f"| `{dotted}` | {_default(setting)} | {_range(setting)} | {_cell(text)} |"
        yield ""
    if ignored := list(_ignored(kind)):
        yield f"Read without effect, and reported: {', '.join(ignored)}.\n"
    if rows:
        yield from _evidence(name, [dotted for dotted, _, _ in rows], seen)


def _evidence(name: str, settings_: list[str], seen: Seen) -> Iterator[str]:
    yield "| Setting | What was seen | Test |"
    yield "|---|---|---|"
    for dotted in settings_:
        for entry in seen.get(f"{name}.{dotted}", [{"test": "", "saw": "not yet tested"}]):
            test = f"`{entry['test'].partition('[')[0]}`" if entry["test"] else ""
            yield f"| `{dotted}` | {_cell(entry['saw'])} | {test} |"
    yield ""


def _settings(kind: Kind, above: str = "") -> Iterator[tuple[str, Setting, str]]:
    """Yield dotted name, setting and meaning of every setting; sections only by what is in them."""
    texts = _texts(kind)
    for setting in schema(kind).values():
        if setting.shape is not Shape.SECTION:
            yield above + setting.name, setting, texts[setting.name]
        if setting.inner is not None:
            yield from _settings(setting.inner, f"{above}{setting.name}.")


def _texts(kind: Kind) -> dict[str, str]:
    """Return the text below each field of a Struct, by the setting's name."""
    tree = ast.parse(inspect.getsource(settings))
    body = next(
        n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == kind.__name__
    )
    names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    texts: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            texts[names[field.target.id]] = _literal(below)
    return texts


def _literal(statement: ast.stmt) -> str:
    value: Any = getattr(getattr(statement, "value", None), "value", "")
    return value if isinstance(value, str) else ""


def _default(setting: Setting) -> str:
    if setting.default is UNSET:
        return "must be given"
    if setting.shape is Shape.LIST:
        return "one, as below" if setting.default else "none"
    return f"`{show(setting.default)}`" if setting.default != "" else "empty"


def _range(setting: Setting) -> str:
    return setting.range.removeprefix("a ") if setting.shape is not Shape.TEXT else setting.range


def _ignored(kind: Kind) -> Iterator[str]:
    inner = [s.inner for s in schema(kind).values() if s.inner is not None]
    for one in (kind, *inner):
        for name, values in IGNORED.get(one, {}).items():
            yield f"`{name}`" + (f" (only `{'`, `'.join(values)}`)" if values else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
