from __future__ import annotations

import pkgutil

from deodar.agent import enrich
from deodar.agent.enrich.converters import MODULES
from deodar.agent.enrich.registry import CONVERTERS, TYPES
from deodar.events.vocabulary import VOCABULARY


def test_every_type_is_one_of_the_vocabulary() -> None:
    assert set(TYPES) == set(CONVERTERS)
    assert set(TYPES.values()) <= set(VOCABULARY.types)


def test_every_module_of_events_is_named() -> None:
    found = {module.name for module in pkgutil.iter_modules(enrich.__path__)}
    events = {name for name in found if name.endswith("events")}
    assert {module.__name__.rpartition(".")[2] for module in MODULES} == events
