"""Renewal of an agent's certificate, for a new key, before the present one ends.

The agent asks with its present certificate. The new one is noted beside it, and takes its place
when the agent first shows it; so an answer that is lost on the way costs nothing: the agent still
has the certificate before, asks again, and what was noted is replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import update

from deodar.edr.enrolment import not_after_us
from deodar.edr.errors import RenewalRefused
from deodar.edr.tables import endpoints
from deodar.tls import certificates
from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.edr.database import Database
    from deodar.edr.endpoint import Endpoint
    from deodar.tls.certificates import Pair


class RenewalRequest(msgspec.Struct, frozen=True):
    """What an agent sends: a certificate request (PEM) for its new key."""

    request: str


class Renewed(msgspec.Struct, frozen=True):
    """What an agent gets: its new certificate (PEM), and until when it is good (µs)."""

    certificate: str
    not_after_us: int


class Renewals:
    """Issues certificates to known agents; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, authority: Pair, days: Callable[[], int]) -> None:
        """`days` tells for how long a certificate shall be good."""
        self._database = database
        self._authority = authority
        self._days = days

    def renew(self, endpoint: Endpoint, request: RenewalRequest) -> Renewed:
        """Issue a certificate to an endpoint that showed its present one.

        Raises RenewalRefused when the request is not good.
        """
        wanted = request.request.encode()
        try:
            issued = certificates.issue_client(
                self._authority, wanted, endpoint.agent_id, self._days()
            )
        except (CertificateError, ValueError) as error:
            raise RenewalRefused(f"the certificate request is not good: {error}") from error
        until = not_after_us(issued)
        values = {"next_digest": certificates.fingerprint(issued), "next_not_after_us": until}
        key = endpoints.c.agent_id == endpoint.agent_id
        with self._database.write() as connection:
            connection.execute(update(endpoints).where(key).values(**values))
        return Renewed(issued.decode(), until)
