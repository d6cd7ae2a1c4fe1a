"""The resources of the API, one a file. To add one: a file with a `router`, and its name here."""

from __future__ import annotations

from deodar.edr.api.resources import (
    endpoints,
    external_systems,
    server_status,
)

RESOURCES = (
    server_status,
    external_systems,
    endpoints,
)
"""In the order of the documentation."""
