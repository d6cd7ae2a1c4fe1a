"""The KEDR event vocabulary, the JSON codec of events, and builders of realistic samples.

An event is a plain JSON object (`Event`). Its fields and types are described by `VOCABULARY`.
Names are looked up in the modules when they are first asked for: who needs only one small part of
this package, as the agent does, does not load the vocabulary.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deodar.events.codec import Event, Problem, check, decode, encode, value
    from deodar.events.errors import EventError
    from deodar.events.vocabulary import VOCABULARY, EventType, Field, Vocabulary

__all__ = [
    "VOCABULARY",
    "Event",
    "EventError",
    "EventType",
    "Field",
    "Problem",
    "Vocabulary",
    "check",
    "decode",
    "encode",
    "value",
]

_HOMES = {
    "codec": ("Event", "Problem", "check", "decode", "encode", "value"),
    "errors": ("EventError",),
    "vocabulary": ("VOCABULARY", "EventType", "Field", "Vocabulary"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Return a public name from the module where it is at home."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found
