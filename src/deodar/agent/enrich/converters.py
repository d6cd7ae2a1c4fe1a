"""The modules that make events of records; to name them here is to enter them into the registry."""

from deodar.agent.enrich import (
    access_events,
    events,
    file_events,
    kernel_events,
    logon_events,
    network_events,
    script_events,
    system_events,
)

MODULES = (
    access_events,
    events,
    file_events,
    kernel_events,
    logon_events,
    network_events,
    script_events,
    system_events,
)
