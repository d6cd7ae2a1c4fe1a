"""Errors of what is ordered.

The tree::

    DeodarError
    └── OrderProblem        a task or a setting is not what can be ordered; the text says what
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class OrderProblem(DeodarError):  # noqa: N818
    """A task's parameters or a state's settings are wrong; the text names the field."""
