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
        ├── ControlDataError    the database of sets and services cannot be used
        ├── ServiceError        what was asked of resource sets or services cannot be
        │   ├── NotStorable         a value that the database cannot keep
        │   ├── NotKnown            no set, service or token goes by that name
        │   ├── NotPossible         it cannot be as things stand
        │   ├── SetProblem          a resource set cannot be saved as it is
        │   ├── PairingRefused      a token, a proof or a certificate request is not good
        │   ├── NotAdmitted         a caller of the core's port is not let in; has the HTTP `status`
        │   ├── ServiceUnreachable  a service does not answer on its API port
        │   ├── ServiceDeleted      the core no longer knows this service; exit code 4
        │   └── ApiRefused          the REST API refuses a request; has the HTTP `status`
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


class ControlDataError(SiemError):
    """The database of resource sets and services cannot be used."""


class ServiceError(SiemError):
    """What was asked of resource sets or services cannot be."""


class NotStorable(ServiceError):  # noqa: N818
    """A value cannot be kept in the database."""


class NotKnown(ServiceError):  # noqa: N818
    """No set, service or token goes by that name."""


class NotPossible(ServiceError):  # noqa: N818
    """It cannot be as things stand; the text says why and what to do."""


class SetProblem(ServiceError):  # noqa: N818
    """A resource set cannot be saved; the text names the key."""

    exit_code = 2


class PairingRefused(ServiceError):  # noqa: N818
    """A token, a proof or a certificate request of a service is not good."""


class NotAdmitted(ServiceError):  # noqa: N818
    """A caller of the core's port is not let in; 401 is for a certificate that is not good now."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ServiceUnreachable(ServiceError):  # noqa: N818
    """A service does not answer on its API port."""


class ServiceDeleted(ServiceError):  # noqa: N818
    """The core no longer knows this service: there is nothing more to do here."""

    exit_code = 4


class ApiRefused(ServiceError):  # noqa: N818
    """The REST API refuses a request with an HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
