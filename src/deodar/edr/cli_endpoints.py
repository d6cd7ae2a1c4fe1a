"""The commands ``deodar edr endpoints …``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import endpoint_page, output
from deodar.edr.enrolment import Endpoint, Endpoints
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="Hosts with an enrolled agent.")

_COLUMNS = {
    "agent_id": "Agent",
    "name": "Host",
    "state": "State",
    "os_name": "OS",
    "os_version": "OS version",
    "agent_version": "Agent version",
    "address": "Address",
    "last_contact_us": "Last contact",
    "synchronized_us": "Synchronized",
    "policy_version": "Policy",
    "stopped_tasks": "Stopped tasks",
}


@app.command("list")
def list_(directory: Directory, as_json: Json = False) -> None:
    """Show all endpoints."""
    with _endpoints(directory) as endpoints:
        _show(endpoints.list(), as_json=as_json)


@app.command()
def show(
    directory: Directory,
    agent: Annotated[str, typer.Argument(help="The agent's id, or its host's name.")],
    as_json: Json = False,
) -> None:
    """Show one endpoint with the whole report of its last synchronization."""
    with _endpoints(directory) as endpoints:
        found = endpoints.find(agent)
        page = endpoint_page.page(found, endpoints.report(found.agent_id))
    if as_json:
        output.print_json(page)
    else:
        output.print_line(endpoint_page.text(page))


@app.command()
def revoke(
    directory: Directory,
    agent: Annotated[str, typer.Argument(help="The agent's id.")],
    as_json: Json = False,
) -> None:
    """Shut an agent out from its next request on."""
    with _endpoints(directory) as endpoints:
        _show([endpoints.revoke(agent)], as_json=as_json)


@contextlib.contextmanager
def _endpoints(directory: Path) -> Iterator[Endpoints]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Endpoints(database)


def _show(endpoints: list[Endpoint], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*endpoints)
    else:
        output.print_table(
            _COLUMNS, endpoints, "No agent is enrolled; begin with: deodar edr enroll"
        )
