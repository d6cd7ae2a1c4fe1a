"""Handing batches to the core's storage service, over mutual TLS.

A batch that the core has made durable is answered with 200 and its rows. What the core says of a
batch's content is final; everything else is tried again by the caller under the same batch id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec

from deodar.siem.collector.prepare import PACKING
from deodar.siem.connectors.backoff import retry_after
from deodar.siem.errors import BatchRejected, CoreUnavailable

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

_CONTENT = {400, 413, 415, 422}
_SECONDS = 120.0


class Stored(msgspec.Struct, frozen=True):
    """The core's answer: rows that are now in the store."""

    rows: int


class CoreClient:
    """One connection to the core; use it as an asynchronous context manager."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            verify=context,
            trust_env=False,
            timeout=httpx.Timeout(_SECONDS, connect=10.0),
            headers={
                "content-type": "application/vnd.apache.arrow.stream",
                "content-encoding": PACKING,
            },
        )

    async def __aenter__(self) -> CoreClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def store(self, batch_id: str, payload: bytes) -> int:
        """Have a batch (Arrow IPC stream, packed) stored; returns its rows once it is durable.

        Raises BatchRejected when the core refuses its content, CoreUnavailable for all that may
        pass: no connection, no certificate accepted, busy, an error inside.
        """
        try:
            response = await self._client.post(
                f"{self._url}/storage/v1/batches/{batch_id}", content=payload
            )
        except (httpx.HTTPError, OSError) as error:
            name = type(error).__name__
            raise CoreUnavailable(
                f"no answer from the core {self._url}: {str(error) or name}"
            ) from error
        return _rows(response)


def _rows(response: httpx.Response) -> int:
    if response.status_code == 200:
        try:
            return msgspec.json.decode(response.content, type=Stored).rows
        except msgspec.MsgspecError as error:
            raise CoreUnavailable(f"the core's answer is not understood: {error}") from error
    text = f"the core answers {response.status_code}: {response.text[:500]}"
    if response.status_code in _CONTENT:
        raise BatchRejected(text)
    raise CoreUnavailable(text, retry_after(response.headers))
