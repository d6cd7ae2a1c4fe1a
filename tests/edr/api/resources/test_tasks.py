from __future__ import annotations

import hashlib

import pytest
from tests.edr.api.conftest import client, user

from deodar.edr.tasking import FILES
from deodar.edr.tasking.files import FetchedFiles, Part
from deodar.edr.tasking.shelf import FolderShelf
from deodar.edr.users.roles import Role

LS = {"command": "ls"}


@pytest.fixture
async def agent(server) -> str:
    agent_id, _ = await server.agent()
    return agent_id


async def test_a_task_is_ordered_listed_shown_and_removed(server, admin, agent):
    made = await admin.post("/tasks", json={"agent": "h", "kind": "run_process", "parameters": LS})
    assert (made.status_code, made.json()["state"]) == (201, "pending")
    assert (made.json()["agent_id"], made.json()["user"]) == (agent, "admin")
    task = made.json()["id"]
    assert (await admin.get(f"/tasks/{task}")).json() == made.json()
    assert (await admin.get("/tasks?state=done")).json()["items"] == []
    assert (await admin.delete(f"/tasks/{task}")).json()["state"] == "cancelled"
    assert (await admin.delete(f"/tasks/{task}")).status_code == 404


async def test_a_list_is_read_in_parts(admin, agent):
    for _ in range(3):
        await admin.post("/tasks", json={"agent": agent, "kind": "run_process", "parameters": LS})
    first = (await admin.get("/tasks", params={"limit": 2, "agent": agent})).json()
    second = (await admin.get("/tasks", params={"after": first["next"]})).json()
    numbers = [task["number"] for task in [*first["items"], *second["items"]]]
    assert numbers == sorted(numbers, reverse=True)
    assert (len(numbers), second["next"]) == (3, None)
    for after in ("WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMF0", "Wy05OTk5OTk5XQ"):
        assert (await admin.get(f"/tasks?after={after}")).status_code in (200, 400)


async def test_kinds_tell_their_parameters_and_who_may_order_them(auditor):
    told = {kind["name"]: kind for kind in (await auditor.get("/tasks/kinds")).json()}
    assert told["get_file"]["role"] == "security_officer"
    assert told["run_process"]["role"] == "senior_security_officer"
    assert "command" in told["run_process"]["parameters"]["properties"]


async def test_roles_hold_for_each_kind(server, agent, auditor):
    officer = client(server, user(server, Role.SECURITY_OFFICER))
    run = {"agent": agent, "kind": "run_process", "parameters": LS}
    fetch = {"agent": agent, "kind": "get_file", "parameters": {"path": "/etc/passwd"}}
    assert (await auditor.post("/tasks", json=fetch)).status_code == 403
    assert (await officer.post("/tasks", json=fetch)).status_code == 201
    refused = await officer.post("/tasks", json=run)
    assert refused.status_code == 403
    assert "run_process needs the role senior_security_officer" in refused.json()["error"]
    senior = client(server, user(server, Role.SENIOR_SECURITY_OFFICER))
    assert (await senior.post("/tasks", json=run)).status_code == 201


async def test_what_cannot_be_ordered_is_told(admin, agent):
    for body, status in (
        ({"agent": "nobody", "kind": "run_process", "parameters": LS}, 404),
        ({"agent": agent, "kind": "odd", "parameters": LS}, 422),
        ({"agent": agent, "kind": "run_process", "parameters": {}}, 422),
        ({"agent": agent, "kind": "run_process", "parameters": LS, "lifetime_seconds": 0}, 422),
    ):
        answer = await admin.post("/tasks", json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]


async def test_a_fetched_file_is_read_and_deleted(server, admin, auditor, agent):
    body = {"agent": agent, "kind": "get_file", "parameters": {"path": "/etc/x"}}
    task = (await admin.post("/tasks", json=body)).json()["id"]
    assert (await admin.get(f"/tasks/{task}/file")).status_code == 404
    data = b"\0content"
    digest = hashlib.sha256(data).hexdigest()
    opened = server.installation
    shelf = FolderShelf(opened.directory.path / FILES)
    files = FetchedFiles(server.database, shelf, opened.settings.tasking)
    files.add(agent, task, Part(0, len(data), digest, data))
    told = (await auditor.get(f"/tasks/{task}/file")).json()
    assert (told["sha256"], told["path"], told["size"]) == (digest, "/etc/x", len(data))
    assert (await auditor.get(f"/tasks/{task}/file/content")).status_code == 403
    content = await admin.get(f"/tasks/{task}/file/content")
    assert (content.content, content.headers["Content-Type"]) == (data, "application/octet-stream")
    assert content.headers["Content-Disposition"].startswith("attachment")
    assert (await admin.delete(f"/tasks/{task}/file")).status_code == 200
    assert (await admin.get(f"/tasks/{task}/file/content")).status_code == 404
