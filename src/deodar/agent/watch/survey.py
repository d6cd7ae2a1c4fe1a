"""What a survey is: it reads one part of the host's state, and tells two of its states apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from deodar.agent.watch.files import Files
    from deodar.agent.watch.records import StateChange

T = TypeVar("T")
V = TypeVar("V")
LONGEST = 256
"""Characters of one value among the changes."""


class Look(NamedTuple):
    """What a survey saw."""

    items: dict[str, Any]
    """By a key that stays the same while the thing is the same."""
    doubts: tuple[str, ...] = ()
    """Why it may not be the whole truth yet: a file is half written."""
    problems: tuple[str, ...] = ()
    """What can not be seen, and why; the state before holds for it."""


class Survey(Protocol):
    """One part of the host's state. For one thread."""

    name: str
    kinds: Any
    """The type of `Look.items`, for msgspec."""
    related: Mapping[str, tuple[str, ...]]
    """Files that one change is often written to at once: who wrote one may have made it all."""

    def folders(self, files: Files) -> Iterable[tuple[str, frozenset[str] | None]]:
        """Return the folders to watch, and which names in them matter; None for all."""
        ...

    def look(self, files: Files, before: Mapping[str, Any]) -> Look:
        """Read the state; of what cannot be read, the one before is taken."""
        ...

    def is_doubtful(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether the difference is so great that it should be looked at twice."""
        ...

    def changes(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[StateChange]:
        """Yield what is different; neither time nor process is set."""
        ...


def differences(
    before: Mapping[str, T], after: Mapping[str, T]
) -> Iterator[tuple[str, T | None, T | None]]:
    """Yield (key, old, new) where the two are not equal: first what is gone."""
    for key, old in before.items():
        if key not in after:
            yield key, old, None
    for key, new in after.items():
        if (known := before.get(key)) != new:
            yield key, known, new


def changed(name: str, old: object, new: object) -> list[str]:
    """Return the text for a value that changed, as a list of one; none if it did not."""
    if old == new:
        return []
    return [f"{name}: {shown(old)} -> {shown(new)}"]


def shown(value: object) -> str:
    """Return a value for people: short, and on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    text = " ".join(text.split())
    if not text:
        return "none"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
