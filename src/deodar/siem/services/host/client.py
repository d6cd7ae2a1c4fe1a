"""Asking the core: the other end of `deodar.siem.services.service_api`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import httpx
import msgspec

from deodar.siem.errors import CoreUnavailable, NotAdmitted, PairingRefused
from deodar.siem.services.host.home import AUTHORITY, CERTIFICATE, RECOVERY
from deodar.siem.services.wire import (
    PREFIX,
    Host,
    Issued,
    Orders,
    PairRequest,
    ReissueRequest,
    RenewRequest,
    ServiceReport,
    SetSettings,
    hash_of,
)
from deodar.tls.certificates import load_pair, make_request
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    import ssl

    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.host.home import ServiceHome

T = TypeVar("T")
_SECONDS = 30.0
_LARGEST = 96 << 20  # the files of a set, in base64
_UNKNOWN_CERTIFICATE, _REFUSED, _GONE = 401, 403, 410


class Client:
    """One service's connection to its core; close it by `close`."""

    def __init__(self, url: str, service_id: str, context: ssl.SSLContext) -> None:
        self._base = f"{url.rstrip('/')}{PREFIX}{service_id}"
        self._url = url
        self._http = httpx.AsyncClient(
            verify=context, trust_env=False, timeout=httpx.Timeout(_SECONDS, connect=10.0)
        )

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()

    async def pair(self, asked: PairRequest) -> Issued:
        """Use up a token; raises PairingRefused, CoreUnavailable."""
        return await self._ask("POST", "pair", Issued, asked)

    async def reissue(self, asked: ReissueRequest) -> Issued:
        """Get another certificate after a reset; raises PairingRefused, CoreUnavailable."""
        return await self._ask("POST", "reissue", Issued, asked)

    async def renew(self, asked: RenewRequest) -> Issued:
        """Get another certificate by the present one; raises NotAdmitted, CoreUnavailable."""
        return await self._ask("POST", "renew", Issued, asked)

    async def settings(self) -> SetSettings:
        """Get what to run with; raises NotAdmitted, CoreUnavailable."""
        return await self._ask("GET", "settings", SetSettings)

    async def report(self, report: ServiceReport) -> Orders:
        """Tell how it fares, and get orders; raises NotAdmitted, CoreUnavailable."""
        return await self._ask("POST", "report", Orders, report)

    async def _ask(
        self, method: str, what: str, kind: type[T], body: msgspec.Struct | None = None
    ) -> T:
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = await self._http.request(method, f"{self._base}/{what}", content=content)
        except (httpx.HTTPError, OSError) as error:
            text = str(error) or type(error).__name__
            raise CoreUnavailable(f"no answer from the core {self._url}: {text}") from error
        if answer.status_code != 200:
            raise _refusal(answer)
        if len(answer.content) > _LARGEST:
            raise CoreUnavailable("the core's answer is too large")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.MsgspecError as error:
            raise CoreUnavailable(f"the core's answer is not understood: {error}") from error


def client_of(home: StateDirectory, url: str, service_id: str) -> Client:
    """Return the client of a service that has a certificate; raises StateError, TlsError."""
    pair = load_pair(home.read(CERTIFICATE))
    return Client(url, service_id, pinned_client(home.read(AUTHORITY), pair))


async def pair(home: ServiceHome, pin: str, token: str, host: Host) -> None:
    """Pair a service by its token, with a key that is made here and stays here.

    The core is known by `pin`, the SHA-256 of its authority. Raises PairingRefused,
    CoreUnavailable, PinError.
    """
    settings = home.settings
    request, key = make_request(settings.id)
    client = Client(settings.core, settings.id, pinned_client([pin]))
    try:
        issued = await client.pair(PairRequest(token, request.decode(), host))
    finally:
        await client.close()
    home.keep_certificate(issued, key, hash_of(token))


async def recover(home: ServiceHome) -> None:
    """Get another certificate after a reset, by the recovery secret.

    Raises PairingRefused, CoreUnavailable.
    """
    settings, folder = home.settings, home.folder
    request, key = make_request(settings.id)
    client = Client(settings.core, settings.id, pinned_client(folder.read(AUTHORITY)))
    try:
        proof = folder.read(RECOVERY).decode() if folder.has(RECOVERY) else ""
        issued = await client.reissue(ReissueRequest(proof, request.decode()))
    finally:
        await client.close()
    home.keep_certificate(issued, key)


async def renew(home: ServiceHome, client: Client) -> None:
    """Get another certificate for a new key; raises NotAdmitted, CoreUnavailable."""
    request, key = make_request(home.settings.id)
    home.keep_certificate(await client.renew(RenewRequest(request.decode())), key)


def _refusal(answer: httpx.Response) -> Exception:
    status = answer.status_code
    text = _reason(answer)
    if status in (_UNKNOWN_CERTIFICATE, _GONE):
        return NotAdmitted(status, text)
    if status == _REFUSED:
        return PairingRefused(f"the core refuses: {text}")
    return CoreUnavailable(f"the core answers {status}: {text}")


def _reason(answer: httpx.Response) -> str:
    try:
        return str(msgspec.json.decode(answer.content)["error"])[:500]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return answer.text[:200]
