"""How a service shows the core who it is, and how it gets another certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deodar.siem.services.host.client import Client, client_of, recover, renew
from deodar.siem.services.host.home import CERTIFICATE
from deodar.siem.services.wire import RenewRequest
from deodar.tls.certificates import make_request

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.host.home import ServiceHome


class Identity(Protocol):
    """A certificate, and the client that shows it."""

    @property
    def client(self) -> Client:
        """The client with the present certificate."""

    @property
    def certificate(self) -> bytes:
        """The present certificate, PEM."""

    async def recover(self) -> bool:
        """Get another certificate after a reset; returns whether there is one now.

        Raises PairingRefused, CoreUnavailable.
        """

    async def renew(self) -> bool:
        """Get another certificate before the present one ends; returns whether there is one.

        Raises NotAdmitted, CoreUnavailable.
        """

    async def close(self) -> None:
        """Let go of connections."""


class Paired:
    """Of a service that was paired."""

    def __init__(self, home: ServiceHome) -> None:
        self._home = home
        settings = home.settings
        self._client = client_of(home.folder, settings.core, settings.id)

    @property
    def client(self) -> Client:
        """The client with the present certificate."""
        return self._client

    @property
    def certificate(self) -> bytes:
        """The present certificate, PEM, with its key."""
        return self._home.folder.read(CERTIFICATE)

    async def recover(self) -> bool:
        """Get another certificate by the recovery secret."""
        await recover(self._home)
        await self._reopen()
        return True

    async def renew(self) -> bool:
        """Get another certificate by the present one."""
        await renew(self._home, self._client)
        await self._reopen()
        return True

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.close()

    async def _reopen(self) -> None:
        old, settings = self._client, self._home.settings
        self._client = client_of(self._home.folder, settings.core, settings.id)
        await old.close()


class InCoresFolder:
    """Of a collector on the core's host: the core's own commands put certificates there."""

    def __init__(self, home: StateDirectory, core_url: str, service_id: str) -> None:
        self._home = home
        self._url, self._id = core_url, service_id
        self._shown = self.certificate
        self._client = client_of(home, core_url, service_id)

    @property
    def client(self) -> Client:
        """The client with the certificate that it was opened with."""
        return self._client

    @property
    def certificate(self) -> bytes:
        """The certificate in the folder, PEM, with its key."""
        return self._home.read(CERTIFICATE)

    async def recover(self) -> bool:
        """Take another certificate from the folder, if one was put there."""
        present = self.certificate
        if present == self._shown:
            return False
        old, self._shown = self._client, present
        self._client = client_of(self._home, self._url, self._id)
        await old.close()
        return True

    async def renew(self) -> bool:
        """Get another certificate by the present one, and put it into the folder."""
        request, key = make_request(self._id)
        issued = await self._client.renew(RenewRequest(request.decode()))
        self._home.write_secret(CERTIFICATE, key + issued.certificate.encode())
        return await self.recover()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.close()
