"""Errors of the agent.

The tree::

    DeodarError
    ├── AgentError
    │   ├── NotEnrolledError      the folder holds no agent that a server knows
    │   ├── TokenError            an enrolment token is cut, changed or of another version
    │   ├── EnrolmentError        the server did not take the token, or is not the one it names
    │   ├── CertificateRefused    65: a certificate cannot be used
    │   │   └── NoCertificate     65: one that is needed is missing
    │   └── UnusableFile          a file that is watched cannot be read
    └── SensorError               see deodar.agent.sensors.errors

The packages control, journal and tasks have trees of their own.
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class AgentError(DeodarError):
    """Base of the agent's errors."""


class NotEnrolledError(AgentError):
    """The agent's folder lacks its settings, its certificate or its key."""


class TokenError(AgentError):
    """An enrolment token cannot be read."""


class EnrolmentError(AgentError):
    """The server could not be reached, is not the one of the token, or said no."""


class CertificateRefused(AgentError):  # noqa: N818
    """A certificate, or its key, cannot be used; the text says why."""

    exit_code = 65


class NoCertificate(CertificateRefused):
    """A certificate that is needed is missing."""


class UnusableFile(AgentError):  # noqa: N818
    """A file is there and cannot be used; the text names it and says why."""
