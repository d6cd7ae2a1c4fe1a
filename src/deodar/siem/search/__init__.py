"""Search: one read-only SELECT on `events`, checked, bounded and shown."""

from __future__ import annotations

DEFAULT_LIMIT = 250
"""Rows of a search whose statement has no LIMIT; KUMA's default."""
