"""The core's side of what services ask: pairing, certificates, settings, reports.

`deodar.siem.services.wire` has paths and bodies. Bodies are bounded; only a few strangers are heard
at a time.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from deodar.kit.body import BodyError, read_body
from deodar.kit.logging import logger
from deodar.siem.errors import (
    ControlDataError,
    NotAdmitted,
    NotKnown,
    PairingRefused,
    ServiceError,
)
from deodar.siem.services.wire import (
    PREFIX,
    Issued,
    PairRequest,
    ReissueRequest,
    RenewRequest,
    ServiceReport,
)

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from deodar.siem.services.core import ServiceCore
    from deodar.siem.services.pairing import Given, Holder

T = TypeVar("T")
_BODY = 1 << 20
_BODY_SECONDS = 30.0
_STRANGERS = 8
_REPORTS = 16
_LONGEST_REASON = 300
_log = logger("siem.services")


class ServiceApi:
    """The ASGI application; used within one event loop."""

    def __init__(self, core: ServiceCore, authority_pem: bytes) -> None:
        self._core = core
        self._authority = authority_pem.decode()
        self._strangers = asyncio.Semaphore(_STRANGERS)
        self._known = asyncio.Semaphore(_REPORTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except NotAdmitted as error:
            return _refusal(error.status, str(error))
        except PairingRefused as error:
            _log.warning("pairing refused", address=_address(request), reason=str(error))
            return _refusal(403, str(error))
        except NotKnown as error:
            return _refusal(404, str(error))
        except BodyError as error:
            return _refusal(error.status, str(error))
        except msgspec.MsgspecError as error:
            return _refusal(400, f"the body is not as documented: {str(error)[:_LONGEST_REASON]}")
        except ControlDataError as error:
            _log.error("the database of services does not answer", reason=str(error))
            return _refusal(503, "the core's database does not answer; come again")
        except ServiceError as error:
            return _refusal(409, str(error))
        except ClientDisconnect:
            return Response(status_code=499)

    async def _route(self, request: Request) -> Response:
        id_, _, what = request.url.path.removeprefix(PREFIX).partition("/")
        if not _is_uuid(id_):
            raise NotKnown("there is nothing here; services ask below /services/v1/ID/")
        way = (request.method, what)
        if way in (("POST", "pair"), ("POST", "reissue")):
            async with self._strangers:
                return await self._certify(request, id_, what)
        holder = await self._core.gate.admit(request.scope.get("client_certificate"))
        if holder.service_id != id_:
            raise NotAdmitted(403, f"the certificate is that of {holder.name}, another service")
        async with self._known:
            if way == ("POST", "report"):
                return await self._report(request, holder)
            if way == ("GET", "settings"):
                settings = await asyncio.to_thread(self._core.settings_of, id_)
                return _json(settings)
            if way == ("POST", "renew"):
                asked = await _body(request, RenewRequest)
                renew = self._core.pairing.renew
                return self._issued(
                    await asyncio.to_thread(renew, holder, asked, _address(request))
                )
        raise NotKnown(f"{request.method} {what[:32]} is not known here")

    async def _certify(self, request: Request, id_: str, what: str) -> Response:
        pairing, address = self._core.pairing, _address(request)
        if what == "pair":
            asked = await _body(request, PairRequest)
            return self._issued(await asyncio.to_thread(pairing.pair, id_, asked, address))
        proof = await _body(request, ReissueRequest)
        return self._issued(await asyncio.to_thread(pairing.reissue, id_, proof, address))

    async def _report(self, request: Request, holder: Holder) -> Response:
        report = await _body(request, ServiceReport)
        await asyncio.to_thread(self._core.pairing.used, holder)
        service = await asyncio.to_thread(self._core.register.find, holder.service_id)
        return _json(self._core.watch.take(service, report, _address(request)))

    def _issued(self, given: Given) -> Response:
        return _json(
            Issued(given.name, given.certificate.decode(), self._authority, given.recovery)
        )


async def _body(request: Request, kind: type[T]) -> T:
    body = await read_body(
        request.stream(),
        request.headers.get("content-encoding"),
        max_wire=_BODY,
        max_plain=_BODY,
        time_limit=_BODY_SECONDS,
    )
    return msgspec.json.decode(body, type=kind)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _refusal(status: int, text: str) -> Response:
    response = Response(msgspec.json.encode({"error": text}), status, media_type="application/json")
    if status == 503:
        response.headers["retry-after"] = "5"
    return response


def _address(request: Request) -> str:
    return (request.client.host if request.client else "")[:64]


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
