"""Errors of the demonstration.

The tree::

    DeodarError
    └── DemoError       a part did not start, or the marked command was not found in time
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class DemoError(DeodarError):
    """A part did not start, or what should have arrived did not."""
