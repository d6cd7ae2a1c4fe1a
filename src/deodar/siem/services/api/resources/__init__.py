"""The resources of the API, one a file. To add one: a file with a `router`, and its name here."""

from __future__ import annotations

from deodar.siem.services.api.resources import audit, resource_sets, services

RESOURCES = (services, resource_sets, audit)
"""In the order of the documentation."""
