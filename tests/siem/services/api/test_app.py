from __future__ import annotations

import pytest
from fastapi import APIRouter

from deodar.siem.services.api.app import PREFIX, ROUTERS, make, operations
from deodar.siem.services.roles import Role


def test_every_operation_says_whom_it_is_for_and_what_it_does():
    found = list(operations(ROUTERS))
    assert len(found) > 20
    assert all(one.about for one in found)
    changing = {one.role for one in found if one.method in ("PUT", "DELETE")}
    assert changing == {Role.ADMINISTRATOR}


def test_one_that_does_not_is_refused():
    router = APIRouter(tags=["x"])
    router.get("/open")(lambda: None)
    with pytest.raises(ValueError, match="whom it is for"):
        list(operations([router]))


def test_the_document_has_roles_and_how_to_show_a_token():
    document = make().openapi()
    told = document["paths"][f"{PREFIX}/services"]["post"]
    assert told["x-required-role"] == "administrator"
    assert told["security"] == [{"apiToken": []}]
    assert document["components"]["securitySchemes"]["apiToken"]["scheme"] == "bearer"
