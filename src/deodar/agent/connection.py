"""How to reach the EDR servers: the settings, and the connection to the server in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.agent.answers import NoAnswer, Trouble
from deodar.agent.proxy import Proxy, place
from deodar.agent.transport import Transport

if TYPE_CHECKING:
    import ssl

NO_CERTIFICATE = (
    "there is no certificate to know the server by; "
    "add it with: deodar agent certificate server add FILE"
)


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """How to reach the servers, and what to do with them. Times are seconds."""

    servers: tuple[tuple[str, int], ...]
    """Host and port of each, in the order in which they are tried."""
    connection_timeout: float = 10.0
    request_timeout: float = 10.0
    synchronization_period: float = 300.0
    maximum_delay: float = 30.0
    """How long an event may wait for others."""
    send: bool = True
    """Whether packets are sent; without, there are synchronizations only."""
    proxy: Proxy | None = None
    shows_certificate: bool = False
    """Whether the agent shows its own certificate."""
    context: ssl.SSLContext | None = None
    context_problem: str = ""
    """Why there is no context."""

    @property
    def names(self) -> list[str]:
        """The servers as people see them."""
        return [place(*server) for server in self.servers]


class Ways:
    """The connection to the server in use; one at a time. `abort` is for any thread."""

    def __init__(self) -> None:
        self._settings: ConnectionSettings | None = None
        self._index = 0
        self._transport: Transport | None = None

    def configure(self, settings: ConnectionSettings) -> None:
        """Use these settings for all connections from now on."""
        self.close()
        self._settings = settings

    def to(self, index: int) -> Transport:
        """Return the way to one of the servers; raises NoAnswer when there can be none."""
        if self._transport is not None and self._index == index:
            return self._transport
        self.close()
        settings = self._settings
        if settings is None or settings.context is None:
            problem = settings.context_problem if settings else ""
            raise NoAnswer(problem or NO_CERTIFICATE, Trouble.CERTIFICATE)
        self._index = index
        self._transport = Transport(
            settings.servers[index],
            settings.context,
            settings.proxy,
            connection_timeout=settings.connection_timeout,
            request_timeout=settings.request_timeout,
        )
        return self._transport

    def abort(self) -> None:
        """Break off the request that is under way."""
        transport = self._transport
        if transport is not None:
            transport.abort()

    def close(self) -> None:
        """Close the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
