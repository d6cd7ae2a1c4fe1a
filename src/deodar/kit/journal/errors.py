"""Errors of journals.

The tree::

    DeodarError
    └── JournalError
        ├── JournalFull             `max_bytes` would be passed; acknowledge or replace first
        ├── JournalUnavailable      the disk refuses, or another process has the folder
        └── RecordTooLarge          this record can never be stored here
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class JournalError(DeodarError):
    """Base of a journal's errors."""


class JournalFull(JournalError):  # noqa: N818
    """The record would pass `max_bytes`; nothing was written."""


class JournalUnavailable(JournalError):  # noqa: N818
    """The disk refused; nothing was appended, and a later try may work."""


class RecordTooLarge(JournalError):  # noqa: N818
    """The record alone is larger than the journal may be."""
