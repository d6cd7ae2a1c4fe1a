"""Local commands to a running program, over the unix socket in its folder.

HTTP on the socket; an error answer's body is its text for the user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from deodar.siem.errors import ControlError

if TYPE_CHECKING:
    from pathlib import Path


class NotRunning(ControlError):  # noqa: N818
    """Nobody listens on the socket."""


def call(
    socket: Path, method: str, path: str, body: Any = None, *, seconds: float = 60.0
) -> httpx.Response:
    """Return the answer of the program behind `socket` to a request with a JSON body.

    Raises NotRunning when nobody listens there, ControlError with the program's own words when it
    refuses, or when it does not answer in `seconds`.
    """
    try:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), timeout=seconds, trust_env=False
        ) as client:
            response = client.request(method, f"http://local{path}", json=body)
    except httpx.ConnectError as error:
        raise NotRunning(f"nothing runs behind {socket}: {error}") from error
    except httpx.HTTPError as error:
        raise ControlError(f"no answer over {socket}: {error or type(error).__name__}") from error
    if response.status_code != 200:
        raise ControlError(response.text.strip() or f"refused with {response.status_code}")
    return response
