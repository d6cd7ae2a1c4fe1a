"""The resources of the API, one a file. To add one: a file with a `router`, and its name here."""

from __future__ import annotations

from deodar.edr.api.resources import (
    alerts,
    api_tokens,
    audit,
    dead_letters,
    desired_states,
    endpoints,
    enrolment_tokens,
    external_systems,
    groups,
    policies,
    reputation,
    server_status,
    session,
    settings,
    tasks,
    users,
    yara_rules,
)

RESOURCES = (
    session,
    server_status,
    settings,
    external_systems,
    endpoints,
    groups,
    enrolment_tokens,
    policies,
    tasks,
    desired_states,
    alerts,
    yara_rules,
    reputation,
    dead_letters,
    users,
    api_tokens,
    audit,
)
"""In the order of the documentation."""
