"""The resources of the API, one a file. To add one: a file with a `router`, and its name here."""

from __future__ import annotations

from deodar.edr.api.resources import (
    api_tokens,
    audit,
    dead_letters,
    endpoints,
    enrolment_tokens,
    external_systems,
    groups,
    policies,
    server_status,
    session,
    settings,
    users,
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
    dead_letters,
    users,
    api_tokens,
    audit,
)
"""In the order of the documentation."""
