"""Events into the storage of another Deodar SIEM, exactly once, as into the own one.

The other SIEM must know this collector: its ``deodar siem collector add`` makes the certificate
(``core-client.pem``) and the authority (``core-authority.pem``) that are named here. Events keep
their IDs, and the fields that name collector and tenant.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from deodar.kit.body import encode
from deodar.kit.errors import SettingsError
from deodar.siem.collector.core_client import CoreClient
from deodar.siem.collector.prepare import PACKING, PACKING_LEVEL, stream
from deodar.siem.connectors.kata_edr_settings import server_url
from deodar.siem.destinations.base import Batch, CommonSettings, Destination, Kind, read_file
from deodar.siem.errors import DestinationUnavailable
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    from pathlib import Path


class DeodarSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` is the other core's, such as https://siem.example:7210."""

    url: str
    certificate: str
    authority: str

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        try:
            server_url(self.url)
        except SettingsError as error:
            return f"url: {error}"
        return super().problem()


class DeodarDestination(Destination):
    """The storage of another core."""

    def __init__(self, settings: DeodarSettings, home: Path) -> None:
        self._url = server_url(settings.url)
        pair = load_pair(read_file(home, settings.certificate))
        self._context = pinned_client(read_file(home, settings.authority), pair)
        self._timeout = settings.timeout
        self._core = CoreClient(self._url, self._context)

    async def deliver(self, batch: Batch) -> int:
        """Have the batch stored; returns when it is durable there."""
        payload = await asyncio.to_thread(
            lambda: encode(stream(batch.events), PACKING, PACKING_LEVEL)
        )
        await self._core.store(batch.id, payload)
        return len(payload)

    async def check(self) -> str:
        """Ask the other core; any answer shows that certificate and authority fit."""
        async with httpx.AsyncClient(
            verify=self._context, trust_env=False, timeout=self._timeout
        ) as client:
            try:
                answer = await client.get(f"{self._url}/storage/v1/batches/check")
            except (httpx.HTTPError, OSError) as error:
                name = type(error).__name__
                raise DestinationUnavailable(f"{self._url}: {str(error) or name}") from error
        if answer.status_code != 405:  # what the storage says to all but POST
            raise DestinationUnavailable(f"{self._url}: answers {answer.status_code}")
        return f"{self._url}: a storage service answers"

    async def close(self) -> None:
        """Close the connection."""
        await self._core.__aexit__(None, None, None)


KIND = Kind("deodar", "the storage of another SIEM", DeodarSettings, DeodarDestination)
