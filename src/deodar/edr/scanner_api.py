"""The scanner API for external systems: alerts in `detects_api`, scans of files in `scan_api`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from deodar.edr import detects_api, web

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from deodar.edr.alerts import Alerts
    from deodar.edr.entrance import Asked, Entrance
    from deodar.edr.scan_api import ScanApi

PREFIX = "/kata/scanner/v1/sensors/"


class ScannerApi:
    """The application behind the API's URLs."""

    def __init__(self, entrance: Entrance, alerts: Alerts, scans: ScanApi) -> None:
        self._entrance = entrance
        self._alerts = alerts
        self._scans = scans

    @property
    def routes(self) -> list[Route]:
        """The routes for the server's application."""
        methods = ["GET", "POST", "DELETE"]
        return [Route(PREFIX + "{tail:path}", self.serve, methods=methods)]

    async def serve(self, request: Request) -> Response:
        """Answer one request."""
        return await self._entrance.serve(request, PREFIX, self._answer)

    async def _answer(self, asked: Asked) -> Response:
        if asked.words == ("detects",):
            if asked.request.method not in {"GET", "HEAD"}:
                return web.refusal(405, "Method Not Allowed")
            return await detects_api.answer(self._alerts, asked)
        if asked.words[:1] == ("scans",):
            return await self._scans.answer(asked)
        return web.refusal(404, "Not Found")
