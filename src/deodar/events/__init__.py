"""The KEDR event vocabulary, the JSON codec of events, and builders of realistic samples.

An event is a plain JSON object (`Event`). Its fields and types are described by `VOCABULARY`.
"""

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
