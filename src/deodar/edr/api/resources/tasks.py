"""Tasks: what endpoints are told to do once, with their results and the files that they fetched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from deodar.edr.api.access import CurrentUser, requires
from deodar.edr.api.models import Asked, Page, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import Refused, documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.tasking.tasks import LIFETIME
from deodar.edr.users.roles import Role
from deodar.response import kinds

router = APIRouter(prefix="/tasks", tags=["tasks"])

TaskId = Annotated[str, Path(max_length=64, pattern="^[A-Za-z0-9_.-]+$")]
State = Literal["pending", "delivered", "running", "done", "failed", "expired", "cancelled"]
User = Annotated[CurrentUser, requires(Role.SECURITY_OFFICER)]
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {}}}


class Kind(Told):
    """A kind of task."""

    name: str
    title: str
    role: Role
    """The least role that may order it."""
    undo: str
    """How to take it back."""
    parameters: dict[str, Any]
    """Their JSON Schema."""


class Task(Told):
    """One task. Times are µs since the epoch, 0 for never."""

    id: str
    number: int
    agent_id: str
    kind: str
    parameters: dict[str, Any]
    state: State
    user: str
    """Who ordered it."""
    created_us: int
    expires_us: int
    """After this moment it is not begun any more."""
    delivered_us: int
    started_us: int
    ended_us: int
    removed_us: int
    reason: str
    result: dict[str, Any] | None
    """What the agent said in the end."""


class Order(Asked):
    """A task to be done."""

    agent: Annotated[str, Field(max_length=256)]
    """The agent's id, or its host's name."""
    kind: Annotated[str, Field(max_length=32)]
    parameters: dict[str, Any]
    lifetime_seconds: Annotated[float, Field(gt=0, le=90 * 86_400)] = LIFETIME
    """Time in which it has to be begun."""


class File(Told):
    """A file that a task fetched."""

    task_id: str
    agent_id: str
    path: str
    """On the endpoint."""
    size: int
    sha256: str
    received_us: int


@router.get("/kinds", dependencies=[requires(Role.AUDITOR)])
def list_kinds() -> list[Kind]:
    """Return the kinds of tasks that there are."""
    return [_kind(kind) for kind in kinds.KINDS.values()]


@router.get("", dependencies=[requires(Role.AUDITOR)], responses=documented(400, 404, 409))
def list_tasks(
    services: ServicesOf,
    agent: Annotated[str, Query(max_length=256, description="An agent's id or host.")] = "",
    state: Annotated[list[State] | None, Query()] = None,
    limit: Limit = LIMIT,
    after: After = "",
) -> Page[Task]:
    """Return tasks, the newest first."""
    begin = place(after, int)
    agent_id = services.endpoint(agent).agent_id if agent else ""
    before = max(1, min(begin[0], 1 << 62)) if begin else 0
    rows = services.tasking.tasks.list(agent_id, state or (), before=before, limit=limit + 1)
    told = [Task.model_validate(row) for row in rows]
    return page(told, limit, lambda task: (task.number,))


@router.post("", status_code=201, responses=documented(404, 409))
def order_task(services: ServicesOf, user: User, order: Order) -> Task:
    """Order a task; some kinds need a higher role than this operation."""
    needed = Role(kinds.find(order.kind).role)
    if not user.role.covers(needed):
        raise Refused(403, f"Forbidden: {order.kind} needs the role {needed}; yours is {user.role}")
    agent_id = services.endpoint(order.agent).agent_id
    create = services.tasking.tasks.create
    made = create(agent_id, order.kind, order.parameters, lifetime=order.lifetime_seconds)
    return Task.model_validate(made)


@router.get("/{task}", dependencies=[requires(Role.AUDITOR)], responses=documented(404))
def show_task(services: ServicesOf, task: TaskId) -> Task:
    """Return a task with its result."""
    return Task.model_validate(services.tasking.tasks.find(task))


@router.delete("/{task}", responses=documented(404))
def remove_task(services: ServicesOf, _user: User, task: TaskId) -> Task:
    """Withdraw a task that was not begun yet; external systems see it no more."""
    return Task.model_validate(services.tasking.tasks.remove(task))


@router.get("/{task}/file", dependencies=[requires(Role.AUDITOR)], responses=documented(404))
def show_file(services: ServicesOf, task: TaskId) -> File:
    """Return what is known of the file that a task fetched."""
    return File.model_validate(services.tasking.files.of_task(task))


@router.get(
    "/{task}/file/content",
    response_class=Response,
    responses={200: _BYTES, **documented(404)},
)
def get_file_content(services: ServicesOf, _user: User, task: TaskId) -> Response:
    """Return the bytes of the file that a task fetched."""
    files = services.tasking.files
    found = files.of_task(task)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.sha256}"',
        "Content-Length": str(found.size),
    }
    return StreamingResponse(files.content(found), 200, headers, "application/octet-stream")


@router.delete("/{task}/file", responses=documented(404))
def delete_file(services: ServicesOf, _user: User, task: TaskId) -> File:
    """Delete the file that a task fetched."""
    return File.model_validate(services.tasking.files.remove(task))


def _kind(kind: kinds.Kind) -> Kind:
    schema = msgspec.json.schema(kind.parameters)
    described = next(iter(schema.get("$defs", {}).values()), schema)
    return Kind(
        name=kind.name,
        title=kind.title,
        role=Role(kind.role),
        undo=kind.undo,
        parameters=described,
    )
