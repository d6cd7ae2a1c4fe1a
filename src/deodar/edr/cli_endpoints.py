"""The commands ``deodar edr endpoints …``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.edr import endpoint_page, output
from deodar.edr.enrolment import Endpoints
from deodar.edr.fleet import Fleet, Member, Presence, Query
from deodar.edr.installation import open_
from deodar.edr.live_settings import SettingsStore
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="Hosts with an enrolled agent.")

Agent = Annotated[str, typer.Argument(help="The agent's id, or its host's name.")]
_COLUMNS = {
    "agent_id": "Agent",
    "name": "Host",
    "presence": "State",
    "group_name": "Group",
    "labels": "Tags",
    "os_name": "OS",
    "os_version": "OS version",
    "agent_version": "Agent version",
    "address": "Address",
    "last_contact_us": "Last contact",
    "synchronized_us": "Synchronized",
    "not_after_us": "Certificate until",
    "policy": "Policy",
    "stopped_tasks": "Stopped tasks",
}


class _Row:
    """A member of the fleet as a row of the table."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.labels = ", ".join(member.tags)
        self.policy = f"{member.policy_version}"
        if member.drifts:
            self.policy += f" (must be {member.wanted_policy})"

    def __getattr__(self, name: str) -> object:
        return getattr(self._member, name)


@app.command("list")
def list_(
    directory: Directory,
    state: Annotated[Presence | None, typer.Option(help="Only those that stand like this.")] = None,
    group: Annotated[str | None, typer.Option(help="Only those of this group.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Host, agent's id or address; an asterisk is any text.")
    ] = None,
    drift: Annotated[
        bool | None,
        typer.Option("--drift/--no-drift", help="Only those whose policy is not what it must be."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="The most to show; 0 for all.")] = 0,
    after: Annotated[str, typer.Option(help="Go on behind this agent's id.")] = "",
    as_json: Json = False,
) -> None:
    """Show endpoints in the order of their enrolment, and how each stands."""
    query = Query(state, group, tag, name, drift)
    with _fleet(directory) as (fleet, _):
        begin = fleet.get(after) if after else None
        place = (begin.enrolled_us, begin.agent_id) if begin else None
        _show(fleet.select(query, limit or None, place), as_json=as_json)


@app.command()
def show(directory: Directory, agent: Agent, as_json: Json = False) -> None:
    """Show one endpoint with the whole report of its last synchronization."""
    with _fleet(directory) as (fleet, endpoints):
        found = fleet.get(endpoints.find(agent).agent_id)
        page = endpoint_page.page(found, endpoints.report(found.agent_id))
    if as_json:
        output.print_json(page)
    else:
        output.print_line(endpoint_page.text(page))


@app.command()
def counts(directory: Directory, as_json: Json = False) -> None:
    """Show how many endpoints are online, offline, never seen and revoked."""
    with _fleet(directory) as (fleet, _):
        found = fleet.counts()
    if as_json:
        output.print_json(found)
    else:
        output.print_line("\n".join(f"{name}: {count}" for name, count in found.items()))


@app.command()
def move(
    directory: Directory,
    agent: Agent,
    group: Annotated[str, typer.Argument(help="The group's name.")],
    as_json: Json = False,
) -> None:
    """Put an endpoint into another group, and so under its policy."""
    with _fleet(directory) as (fleet, endpoints):
        _show([fleet.move(endpoints.find(agent).agent_id, group)], as_json=as_json)


@app.command()
def tag(
    directory: Directory,
    agent: Agent,
    add: Annotated[list[str] | None, typer.Option("--add", help="A tag to give.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="One to take.")] = None,
    as_json: Json = False,
) -> None:
    """Give an endpoint tags, or take them."""
    with _fleet(directory) as (fleet, endpoints):
        changed = fleet.tag(endpoints.find(agent).agent_id, add or [], remove or [])
        _show([changed], as_json=as_json)


@app.command()
def revoke(
    directory: Directory,
    agent: Annotated[str, typer.Argument(help="The agent's id.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever looks later.")] = "",
    as_json: Json = False,
) -> None:
    """Shut an agent out from its next request on."""
    with _fleet(directory) as (fleet, endpoints):
        endpoints.revoke(agent, reason)
        _show([fleet.get(agent)], as_json=as_json)


@contextlib.contextmanager
def _fleet(directory: Path) -> Iterator[tuple[Fleet, Endpoints]]:
    opened = open_(directory)
    with contextlib.closing(opened.database()) as database:
        periods = SettingsStore(database, opened.settings).in_force().fleet.offline_periods
        yield Fleet(database, periods), Endpoints(database)


def _show(members: list[Member], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*members)
    else:
        rows = [_Row(member) for member in members]
        nothing = "No agent is enrolled, or none like that; begin with: deodar edr enroll"
        output.print_table(_COLUMNS, rows, nothing)
