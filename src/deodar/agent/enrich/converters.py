"""The modules that make events of records; to name them here is to enter them into the registry."""

from deodar.agent.enrich import events

MODULES = (events,)
