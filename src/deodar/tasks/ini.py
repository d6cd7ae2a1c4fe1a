"""Settings of one task as INI text, as ``Name=Value`` words, and back.

Read are the sectioned and the flat form; the sectioned one is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from deodar.tasks.check import normal
from deodar.tasks.errors import InvalidSetting
from deodar.tasks.ini_tree import Node, place, quote, read_tree, unquote
from deodar.tasks.single import printable, show

if TYPE_CHECKING:
    from deodar.tasks.settings import Kind, Values


def to_ini(values: Mapping[str, Any], *, section: str = "") -> str:
    """Return values as INI text; those of a `section` stand below its heading."""
    blocks = ["\n".join(block) for block in _blocks(values, section)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def from_ini(text: str | bytes, kind: Kind, where: str) -> Values:
    """Return the settings of a file, and nothing for those that it does not give.

    Names without a function here stay in, so that who applies the settings can report them.
    Raises InvalidSetting, which names the line.
    """
    return checked(kind, read_tree(text, where), where)


def checked(kind: Kind, tree: Mapping[str, Any], where: str, *, edit: bool = False) -> Values:
    """Return given settings with proper names and types; ignored names stay in as they are."""
    values, ignored = normal(kind, tree, where, edit=edit)
    return values | {name.split(".")[-1]: _plain(tree, name) for name in ignored}


def assignment(words: Iterable[str], kind: Kind) -> Values:
    """Return ``Name=Value`` words of a command line as partial values for `check.merge`.

    ``Endpoints.item_0001.Port=444`` changes one of a list, or adds it when it is the next one;
    ``Endpoints.item_0001=`` takes it out. Raises InvalidSetting.
    """
    tree = Node()
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidSetting("Name=Value is expected", setting=printable(word))
        place(tree, name.strip(), _argument(value))
    return checked(kind, tree, "", edit=True)


def flat(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every single setting by dotted name, with its text as it stands in a file."""
    return list(_flat(values, ""))


def _argument(value: str) -> str:
    """Return what a word says: a shell has taken the quotes away, so that they may be missing."""
    value = value.strip()
    return unquote(value) if value.startswith('"') else value


def _blocks(values: Mapping[str, Any], section: str) -> Iterator[list[str]]:
    own = [f"{name}={_written(value)}" for name, value in values.items() if not _inner(value)]
    if own or not values:
        yield ([f"[{section}]"] if section else []) + own
    for name, value in values.items():
        path = f"{section}.{name}" if section else name
        for below, inner in _inner(value).items():
            yield from _blocks(inner, f"{path}{below}")


def _inner(value: object) -> dict[str, Mapping[str, Any]]:
    """Return the sections that a value is written as, by what follows its name; {} for a text."""
    if isinstance(value, Mapping):
        return {"": value}
    if isinstance(value, list | tuple):
        return {f".item_{number:04d}": item for number, item in enumerate(value)}
    return {}


def _flat(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if not _inner(value):
            yield above + name, _written(value)
        for below, inner in _inner(value).items():
            yield from _flat(inner, f"{above}{name}{below}.")


def _written(value: object) -> str:
    if isinstance(value, list | tuple):
        return ""
    return quote(value) if isinstance(value, str) else show(value)


def _plain(tree: Mapping[str, Any], dotted: str) -> Any:
    """Return an ignored setting's value as plain text or sections."""
    value: Any = tree
    for name in dotted.split("."):
        inner = value.items() if isinstance(value, Mapping) else ()
        value = next((below for key, below in inner if key.casefold() == name.casefold()), "")
    return _as_plain(value)


def _as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_plain(inner) for key, inner in value.items()}
    return str(value) if isinstance(value, str) else value
