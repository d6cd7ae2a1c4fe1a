"""Errors of normalizers.

The tree::

    DeodarError
    └── NormalizerError     a normalizer cannot be used; the text names the file and the line
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class NormalizerError(DeodarError):
    """A normalizer cannot be used; the text names the file, the line and what is wrong there."""

    exit_code = 2
