"""Reading a normalized event field by field, keeping account of what was read.

What a form has no place for is the rest; so no form loses anything silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Taken:
    """One event; `take` gives a field's value once."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._rest = dict(event)

    def take(self, *names: str) -> Any:
        """Return the value of the first of the fields that has one, and take it out; else None."""
        for name in names:
            if name in self._rest:
                return self._rest.pop(name)
        return None

    def peek(self, name: str) -> Any:
        """Return a field's value and leave it in, or None."""
        return self._rest.get(name)

    def slot(self, label: str) -> Any:
        """Take the value of the slot (custom or flex field) that has this label, or None."""
        for name, value in self._rest.items():
            slot = name.removesuffix("Label")
            if slot != name and value == label and slot in self._rest:
                del self._rest[name]
                return self._rest.pop(slot)
        return None

    def rest(self) -> dict[str, Any]:
        """Return what was not taken."""
        return dict(self._rest)


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are there, in nested mappings too."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        kept = without_empty(value) if isinstance(value, dict) else value
        if kept is not None and kept != {} and kept != []:
            found[name] = kept
    return found
