"""Errors of the SIEM's programs.

The tree::

    DeodarError
    └── SiemError
        ├── ConnectorError      a server's answer cannot be used; the text says what and where
        ├── BatchRejected       the core refuses a batch for what is in it: repeating is useless
        ├── CoreUnavailable     the core cannot take the batch now: repeat later
        ├── ControlError        a running program refused or did not answer a local command
        └── SearchRefused       a search statement is not one read-only SELECT on `events`
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class SiemError(DeodarError):
    """Base of the SIEM's errors."""


class ConnectorError(SiemError):
    """An EDR server's answer cannot be used."""


class BatchRejected(SiemError):  # noqa: N818
    """The core refused a batch because of its content; sending it again cannot help."""


class CoreUnavailable(SiemError):  # noqa: N818
    """The core did not take a batch now; `retry_after` is its wish in seconds, if it told one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ControlError(SiemError):
    """A running program did not carry out a local command."""


class SearchRefused(SiemError):  # noqa: N818
    """A statement is not one read-only SELECT on the table `events`."""

    exit_code = 2
