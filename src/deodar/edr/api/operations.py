"""The operations of the API as they are declared: for its documentation, and as a check.

An operation that says neither which role it needs nor that it is for anybody stops the server from
starting, so that none is open by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.routing import compile_path

from deodar.edr.api.access import Anybody, Requires

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deodar.edr.users.roles import Role


@dataclass(frozen=True)
class Operation:
    """One method of one path; `role` is the least that may use it, None for anybody."""

    method: str
    path: str
    role: Role | None
    about: str
    tag: str


class Methods:
    """Which methods each path takes, for the header Allow; FastAPI names one route's only."""

    def __init__(self, found: Iterable[Operation]) -> None:
        paths: dict[str, set[str]] = {}
        for one in found:
            paths.setdefault(one.path, set()).add(one.method)
        self._named = paths
        self._patterns = [(compile_path(path)[0], methods) for path, methods in paths.items()]

    def of(self, path: str) -> str:
        """Return the methods that a path takes, with commas between; "" for no path."""
        if path in self._named:  # though another's parameter may fit it too
            return ", ".join(sorted(self._named[path]))
        every = [methods for pattern, methods in self._patterns if pattern.match(path)]
        return ", ".join(sorted(set().union(*every)))


def operations(resources: Iterable[Any]) -> Iterator[Operation]:
    """Yield the operations of resources; raises ValueError for one that says not whom it is for."""
    for resource in resources:
        for route in resource.router.routes:
            if isinstance(route, APIRoute):
                yield from _of(route)


def _of(route: APIRoute) -> Iterator[Operation]:
    role = _role(route)
    for method in sorted(route.methods or ()):
        yield Operation(method, route.path, role, route.description, str(route.tags[0]))


def _role(route: APIRoute) -> Role | None:
    calls = [one.call for one in route.dependant.dependencies]
    roles = [call.role for call in calls if isinstance(call, Requires)]
    if roles:
        return max(roles, key=_height)
    if any(isinstance(call, Anybody) for call in calls):
        return None
    raise ValueError(f"{route.path} ({route.name}) says not whom it is for; see access.requires")


def _height(role: Role) -> int:
    return sum(role.covers(other) for other in type(role))
