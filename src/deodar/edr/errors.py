"""Errors of the EDR server.

The tree::

    DeodarError
    └── EdrError
        ├── BadRequest              a request's parameters are wrong; the text says which
        │   └── NotStorable         a value that the database cannot keep, such as a NUL in a text
        ├── DurationError           a text is no ISO 8601 duration; says where
        ├── TokenError              a continuation token cannot be used; `reason` says why
        ├── TooManyRequests         an external system asks more than it may; repeat later
        ├── ControlDataError        the database of control data cannot be used
        ├── NotKnown                no external system, endpoint or token goes by that name
        ├── Ambiguous               several external systems or endpoints go by that name
        ├── NotAcceptable           an external system cannot be accepted as it is
        ├── EnrolmentRefused        an enrolment token or request is not good
        ├── RenewalRefused          an agent's request for another certificate is not good
        ├── NotThisAgent            an agent reports under another's id than its certificate's
        ├── PolicyProblem           a policy cannot be set or shown
        ├── GroupProblem            a group of endpoints cannot be made or removed
        ├── FleetProblem            an endpoint cannot be tagged like that
        ├── AlreadyThere            an id or a name is in use, or a result is there already
        ├── OrderRefused            a task cannot be given now; the text says why
        ├── FileRefused             a fetched file cannot be taken; has the HTTP `status`
        ├── RulesProblem            YARA rules cannot be taken; the text has the compiler's words
        ├── FeedProblem             a list of hashes cannot be read; says the line
        ├── PartlyTaken             the log has the first part of a packet; send the rest alone
        ├── PacketRefused           the event log cannot keep a packet's content: no use to repeat
        ├── LogUnavailable          the event log takes nothing now; repeat later
        │   └── LogFull             … since there is no room on the disk
        ├── LogInUse                another server writes the event log of this store
        ├── NotWriter               another server writes the event log of these nodes now
        ├── StreamProblem           the stream between the nodes cannot be used as it is
        ├── BlockProblem            what came out of the stream is no block of events
        ├── NodeProblem             a node cannot be added, removed or started; the text says why
        ├── BackupError             a backup cannot be made or restored; nothing was overwritten
        └── ControlError            the running server refused or did not answer a local command
"""

from __future__ import annotations

from typing import ClassVar

from deodar.kit.errors import DeodarError


class EdrError(DeodarError):
    """Base of the EDR server's errors."""


class BadRequest(EdrError):  # noqa: N818
    """The parameters of a request are wrong; the text names the parameter."""


class NotStorable(BadRequest):
    """A value cannot be kept in the database: PostgreSQL takes no NUL, and numbers have ends."""


class DurationError(EdrError):
    """A text is no ISO 8601 duration; `column` counts from 1."""

    def __init__(self, text: str, column: int, expected: str) -> None:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        super().__init__(
            f"'{shown}' is not an ISO 8601 duration such as PT30S: column {column}: "
            f"expected {expected}"
        )
        self.column = column


class TokenError(EdrError):
    """A continuation token cannot be used; the client is told only that it was not found."""

    def __init__(self, reason: str) -> None:
        super().__init__("Continuation token not found")
        self.reason = reason


class TooManyRequests(EdrError):  # noqa: N818
    """An external system asks more often than it may; `retry_after` is in whole seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = max(1, retry_after)


class ControlDataError(EdrError):
    """The database of control data cannot be reached or is of a newer release."""


class NotKnown(EdrError):  # noqa: N818
    """Nothing goes by the name that was given."""


class Ambiguous(EdrError):  # noqa: N818
    """Several external systems or endpoints go by the name that was given; the text lists them."""


class NotAcceptable(EdrError):  # noqa: N818
    """An external system cannot be accepted; the text says what its owner must do."""


class EnrolmentRefused(EdrError):  # noqa: N818
    """An enrolment token is unknown, used or outdated, or the request beside it is not good."""


class RenewalRefused(EdrError):  # noqa: N818
    """An agent's request for another certificate is not good."""


class NotThisAgent(EdrError):  # noqa: N818
    """An agent's report has another id than its certificate."""


class PolicyProblem(EdrError):  # noqa: N818
    """A policy cannot be set, or the one that was asked for is not there."""


class AlreadyThere(EdrError):  # noqa: N818
    """What was to be made is there already."""


class OrderRefused(EdrError):  # noqa: N818
    """An endpoint cannot be given a task now."""


class FileRefused(EdrError):  # noqa: N818
    """A part of a fetched file is not taken; `have` is how many bytes of the file are here."""

    def __init__(self, message: str, status: int, have: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.have = have


class RulesProblem(EdrError):  # noqa: N818
    """YARA rules are not good, or there are too many."""


class FeedProblem(EdrError):  # noqa: N818
    """A list of hashes is not one; the text says what is wrong in which line."""


class GroupProblem(EdrError):  # noqa: N818
    """A group of endpoints cannot be made or removed; the text says why."""


class FleetProblem(EdrError):  # noqa: N818
    """An endpoint cannot be changed like that; the text says why."""


class PartlyTaken(EdrError):  # noqa: N818
    """The log has a packet's events up to the number `committed`, but not those after it."""

    def __init__(self, first: int, last: int, committed: int) -> None:
        super().__init__(
            f"Conflict: of the packets {first} to {last} those up to {committed} are in the log; "
            f"send again from {committed + 1} on"
        )
        self.committed = committed


class PacketRefused(EdrError):  # noqa: N818
    """The event log cannot keep what is in a packet; sending it again cannot help."""


class LogUnavailable(EdrError):  # noqa: N818
    """The event log takes nothing now; `retry_after` is when to repeat, in seconds."""

    status: ClassVar[int] = 503
    phrase: ClassVar[str] = "Service Unavailable"

    def __init__(self, message: str, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LogFull(LogUnavailable):
    """There is no room on the disk for more events."""

    status: ClassVar[int] = 507
    phrase: ClassVar[str] = "Insufficient Storage"

    def __init__(self, message: str, retry_after: int = 30) -> None:
        super().__init__(message, retry_after)


class LogInUse(EdrError):  # noqa: N818
    """Another server writes the event log that this one is to write."""

    exit_code: ClassVar[int] = 3


class NotWriter(EdrError):  # noqa: N818
    """Another server writes the event log now; what this one wrote last counts for nothing."""


class StreamProblem(EdrError):  # noqa: N818
    """The stream between the nodes is not as it has to be; the text says what to do."""


class BlockProblem(EdrError):  # noqa: N818
    """What came out of the stream is no block of events."""


class NodeProblem(EdrError):  # noqa: N818
    """A node cannot be added, removed, joined or started; the text says why."""


class BackupError(EdrError):
    """A backup cannot be made, or not be restored; the text says why and what to do."""


class ControlError(EdrError):
    """The running server did not carry out a local command."""
