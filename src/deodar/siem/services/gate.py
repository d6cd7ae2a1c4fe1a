"""Who is let in to the core's port: services by a certificate that they were given and still have.

Checked before a byte of a request's body is read.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deodar.siem.errors import NotAdmitted
from deodar.tls.certificates import Purpose, check_issued, fingerprint

if TYPE_CHECKING:
    from deodar.siem.services.pairing import Holder, Pairing


class Gate:
    """Knows the services by their certificates."""

    def __init__(self, authority_pem: bytes, pairing: Pairing) -> None:
        self._authority = authority_pem
        self._pairing = pairing

    async def admit(self, certificate: bytes | None) -> Holder:
        """Return who shows a certificate (DER).

        Raises NotAdmitted for a stranger, ControlDataError when the database does not answer.
        """
        if certificate is None:
            raise NotAdmitted(403, "a client certificate of this SIEM's authority is needed")
        now = datetime.now(UTC)
        problem = check_issued(certificate, self._authority, now, Purpose.CLIENT)
        if problem:
            raise NotAdmitted(403, f"the client's certificate {problem}")
        digest = fingerprint(certificate)
        holder = await asyncio.to_thread(self._pairing.holder, digest)
        if holder is None:
            raise NotAdmitted(401, "the certificate is of no service here")
        if holder.deleted:
            raise NotAdmitted(410, f"the service {holder.name} was deleted")
        if holder.refused:
            raise NotAdmitted(401, f"the certificate of {holder.name} was reset")
        return holder
