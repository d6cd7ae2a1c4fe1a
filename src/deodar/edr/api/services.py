"""What resources work with: the server's database, settings, and running parts."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from deodar.edr.enrolment import Endpoints

if TYPE_CHECKING:
    from deodar.edr.control import Parts
    from deodar.edr.database import Database
    from deodar.edr.endpoint import Endpoint
    from deodar.edr.installation import Installation
    from deodar.edr.tasking import Tasking


@dataclass(frozen=True)
class Services:
    """One server's; what works on control data is made from `database` where it is used."""

    installation: Installation
    database: Database
    parts: Parts
    tasking: Tasking
    verifying: threading.Lock = field(default_factory=threading.Lock)
    """Held while the audit trail is checked, which may take long."""

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of an agent's id or a host's name; raises NotKnown, Ambiguous."""
        return Endpoints(self.database).find(name)


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


ServicesOf = Annotated[Services, Depends(_services)]
"""The type of an operation's parameter that gets them."""
