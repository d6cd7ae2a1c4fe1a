"""Errors of hashing; none reaches a user, each is counted and told in the status.

The tree::

    DeodarError
    └── AgentError
        └── HashingError
            ├── OpenTimeout           a file system does not answer an open
            ├── ProcessUnavailable    the hash process cannot be started (again) yet
            ├── ProcessDied           it ended before it answered
            └── ProcessHung           it did not answer in time
"""

from __future__ import annotations

from deodar.agent.errors import AgentError


class HashingError(AgentError):
    """Base of the errors of hashing."""


class OpenTimeout(HashingError):  # noqa: N818
    """Opening a file took longer than it may, or all threads for it hang."""


class ProcessUnavailable(HashingError):  # noqa: N818
    """There is no hash process, and none may be started at the moment."""


class ProcessDied(HashingError):  # noqa: N818
    """The hash process ended while it was asked."""


class ProcessHung(HashingError):  # noqa: N818
    """The hash process did not answer in time; it was killed."""
