"""A program's metrics for Prometheus: on its control socket, and on a TCP port if one is set.

Nobody is asked who he is there, so the port is on the loopback address unless settings say else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from deodar.kit.serve import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from starlette.requests import Request

PATH = "/metrics"


def metrics_route(registry: Callable[[], CollectorRegistry]) -> Route:
    """Return a route that answers with the values of the registry that is made for each request."""

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)

    return Route(PATH, metrics)


def metrics_endpoints(
    registry: Callable[[], CollectorRegistry], host: str, port: int
) -> list[Endpoint]:
    """Return the listener for a port, none for port 0."""
    if not port:
        return []
    app = Starlette(routes=[metrics_route(registry)])
    return [Endpoint(cast("Any", app), host, port)]
