"""A bare journal in the place of a collector's desk."""

from __future__ import annotations


class Source:
    """A journal as aggregation needs it."""

    def __init__(self, journal) -> None:
        self.journal = journal
        self.read = journal.read

    @property
    def identity(self):
        return self.journal.identity

    @property
    def acknowledged(self):
        return self.journal.acknowledged

    @property
    def last(self):
        return self.journal.last()
