"""Errors of the SIEM's programs.

The tree::

    DeodarError
    └── SiemError
        ├── ConnectorError      a server's answer cannot be used; the text says what and where
        ├── DestinationError    a destination does not take a batch
        │   ├── DestinationRefused      for good, for what is in it: repeating is useless
        │   │   └── BatchRejected           so says the core
        │   └── DestinationUnavailable  not now: repeat later, under the same batch id
        │       └── CoreUnavailable         so says the core, or it says nothing
        ├── ControlError        a running program refused or did not answer a local command
        └── SearchRefused       a search statement is not one read-only SELECT on `events`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.columnar.dead_letters import DeadLetter


class SiemError(DeodarError):
    """Base of the SIEM's errors."""


class ConnectorError(SiemError):
    """An EDR server's answer cannot be used."""


class DestinationError(SiemError):
    """A destination does not take a batch."""


class DestinationRefused(DestinationError):  # noqa: N818
    """A destination refuses what is in a batch; sending it again cannot help.

    `rows` is how many of its events were refused, None for all; the others are delivered. `letters`
    are those events themselves, if the destination says which ones they are.
    """

    def __init__(
        self, message: str, rows: int | None = None, letters: Sequence[DeadLetter] = ()
    ) -> None:
        super().__init__(message)
        self.rows = rows
        self.letters = tuple(letters)


class DestinationUnavailable(DestinationError):  # noqa: N818
    """A destination takes nothing now; `retry_after` is its wish in seconds, if it told one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BatchRejected(DestinationRefused):
    """The core refused a batch because of its content; sending it again cannot help."""


class CoreUnavailable(DestinationUnavailable):
    """The core did not take a batch now."""


class ControlError(SiemError):
    """A running program did not carry out a local command."""


class SearchRefused(SiemError):  # noqa: N818
    """A statement is not one read-only SELECT on the table `events`."""

    exit_code = 2
