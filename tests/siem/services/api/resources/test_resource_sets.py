from __future__ import annotations

import base64

from tests.siem.services.conftest import SET

HOOK = """
[[destinations]]
name = "hook"
kind = "http"
urls = ["https://siem.example"]
token_file = "hook.token"
"""


async def test_a_set_from_the_first_version_to_its_end(rest):
    saved = (await rest.put("/resource-sets/branch", json={"settings": SET})).json()
    assert (saved["version"], len(saved["certificate_sha256"])) == (1, 64)
    text = (await rest.get("/resource-sets/branch")).json()["settings"]
    files = {"hook.token": base64.b64encode(b"open sesame").decode()}
    wish = {"settings": text + HOOK, "files": files, "note": "a hook"}
    assert (await rest.put("/resource-sets/branch", json=wish)).json()["version"] == 2
    versions = (await rest.get("/resource-sets/branch/versions")).json()
    assert [(one["version"], one["note"], one["user"]) for one in versions] == [
        (2, "a hook", "administrator"),
        (1, "", "administrator"),
    ]
    assert (await rest.get("/resource-sets/branch?version=1")).json()["settings"] == text
    assert [row["name"] for row in (await rest.get("/resource-sets")).json()] == ["branch"]
    assert (await rest.delete("/resource-sets/branch")).status_code == 204
    assert (await rest.get("/resource-sets/branch")).status_code == 404


async def test_no_answer_has_what_is_in_a_file(rest):
    files = {"hook.token": base64.b64encode(b"open sesame").decode()}
    await rest.put("/resource-sets/a", json={"settings": SET + HOOK, "files": files})
    for path in ("", "/a", "/a/versions"):
        text = (await rest.get(f"/resource-sets{path}")).text
        assert "sesame" not in text
        assert files["hook.token"] not in text
        assert "PRIVATE" not in text


async def test_a_check_saves_nothing(rest):
    for wish, status in (
        ({"settings": SET}, 204),
        ({"settings": SET + HOOK}, 422),
        ({"settings": SET.replace("urls", "url")}, 422),
    ):
        answer = await rest.post("/resource-sets/check", json=wish, headers=rest.viewer)
        assert answer.status_code == status
    assert (await rest.get("/resource-sets")).json() == []
    told = await rest.put("/resource-sets/a", json={"settings": SET.replace("urls", "url")})
    assert "did you mean `urls`" in told.json()["error"]
