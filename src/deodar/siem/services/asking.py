"""Asking a service itself, on its API port: its status and metrics as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import httpx

from deodar.siem.errors import NotPossible, ServiceUnreachable
from deodar.siem.services.wire import CORE_NAME
from deodar.tls.certificates import Pair, issue_client, make_request
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    import ssl

    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.service import Service

_SECONDS = 10.0
_LARGEST = 4 << 20
_DAYS = 1


def core_context(home: StateDirectory) -> ssl.SSLContext:
    """Return the context that shows services that it is the core who asks; good for a day."""
    authority = Pair(home.read("authority.pem"), home.read("authority.key"))
    request, key = make_request(CORE_NAME)
    pair = Pair(issue_client(authority, request, CORE_NAME, days=_DAYS), key)
    return pinned_client(authority.certificate, pair)


def ask(
    home: StateDirectory, service: Service, what: Literal["status", "metrics"]
) -> httpx.Response:
    """Return what a service answers on its API port.

    Raises NotPossible for one without such a port, ServiceUnreachable.
    """
    port = service.report.host.api_port if service.report else 0
    if service.kind != "collector" or not port or not service.address:
        raise NotPossible(f"{service.name} has no API port, or has never reported")
    host = f"[{service.address}]" if ":" in service.address else service.address
    url = f"https://{host}:{port}/{what}"
    try:
        with httpx.Client(verify=core_context(home), timeout=_SECONDS, trust_env=False) as client:
            answer = client.get(url)
    except (httpx.HTTPError, OSError) as error:
        raise ServiceUnreachable(f"{service.name} does not answer on {url}: {error}") from error
    if answer.status_code != 200 or len(answer.content) > _LARGEST:
        text = answer.text[:200].strip()
        raise ServiceUnreachable(f"{service.name} answers {answer.status_code}: {text}")
    return answer
