"""Who is behind a request of the REST API, and how they showed it."""

from __future__ import annotations

import msgspec

from deodar.edr.users.roles import Role  # noqa: TC001  # msgspec reads it at run time


class Identity(msgspec.Struct, frozen=True):
    """A user, with the role that counts for this request: a token's may be lower than theirs."""

    name: str
    role: Role
    session: str = ""
    """The SHA-256 of the session's secret; empty when an API token was shown."""
    csrf: str = ""
    """What a page of this session must show beside its cookie; empty for an API token."""
    token: str = ""
    """The id of the API token that was shown; empty for a session."""
