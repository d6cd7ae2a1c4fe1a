from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("viewer", "GET", "/services", 200),
        ("viewer", "POST", "/services/x/reload", 403),
        ("viewer", "PUT", "/resource-sets/x", 403),
        ("nobody", "GET", "/services", 401),
        ("nobody", "GET", "/absent", 401),
        ("nobody", "GET", "/openapi.json", 200),
    ],
)
async def test_what_a_token_may(rest, who, method, path, status):
    answer = await rest.request(method, path, headers=getattr(rest, who))
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]
