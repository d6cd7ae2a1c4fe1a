from __future__ import annotations

from types import SimpleNamespace

import pytest
from fastapi import APIRouter

from deodar.edr.api.access import anybody, requires
from deodar.edr.api.operations import Methods, Operation, operations
from deodar.edr.api.resources import RESOURCES
from deodar.edr.users.roles import Role


def test_only_the_login_is_for_anybody():
    public = [(one.method, one.path) for one in operations(RESOURCES) if one.role is None]
    assert public == [("POST", "/session")]


def test_an_auditor_changes_nothing_but_what_is_their_own():
    own = {"/session", "/session/password", "/tokens", "/tokens/{token}"}
    changes = [one for one in operations(RESOURCES) if one.method != "GET"]
    assert {one.path for one in changes if one.role is Role.AUDITOR} == own


async def test_what_is_declared_holds_at_the_running_server(nobody, auditor):
    for one in operations(RESOURCES):
        path = one.path.replace("{version}", "1").replace("{", "x").replace("}", "")
        if one.role is not None:
            assert (await nobody.request(one.method, path)).status_code == 401, one
        if one.role not in {None, Role.AUDITOR}:
            assert (await auditor.request(one.method, path)).status_code == 403, one


def test_a_paths_methods_are_named_and_a_literal_path_comes_before_a_parameter():
    found = [
        Operation(method, path, None, "", "x")
        for method, path in (("GET", "/a/kinds"), ("GET", "/a/{one}"), ("DELETE", "/a/{one}"))
    ]
    methods = Methods(found)
    assert methods.of("/a/kinds") == "GET"
    assert methods.of("/a/b") == "DELETE, GET"
    assert methods.of("/a/b/c") == ""


def test_an_operation_that_says_not_whom_it_is_for_is_refused():
    router = APIRouter(tags=["x"], dependencies=[requires(Role.AUDITOR)])
    router.get("/read")(lambda: None)
    router.post("/act", dependencies=[requires(Role.ADMINISTRATOR)])(lambda: None)
    found = {one.path: one.role for one in operations([SimpleNamespace(router=router)])}
    assert found == {"/read": Role.AUDITOR, "/act": Role.ADMINISTRATOR}
    bare = APIRouter(tags=["x"])
    bare.get("/in", dependencies=[anybody()])(lambda: None)
    bare.get("/open")(lambda: None)
    with pytest.raises(ValueError, match="/open"):
        list(operations([SimpleNamespace(router=bare)]))
