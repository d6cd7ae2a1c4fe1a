from __future__ import annotations

EVIL = 'rule evil { strings: $a = "EVIL" condition: $a }'


async def test_rules_are_put_shown_listed_and_deleted(admin):
    made = await admin.put("/yara-rules/mine", json={"text": EVIL})
    assert (made.status_code, made.json()["rules"]) == (200, 1)
    assert made.json()["user"] == "admin"
    assert (await admin.get("/yara-rules/mine")).text == EVIL
    assert [one["name"] for one in (await admin.get("/yara-rules")).json()] == ["mine"]
    assert (await admin.delete("/yara-rules/mine")).status_code == 200
    assert (await admin.get("/yara-rules/mine")).status_code == 404
    assert (await admin.delete("/yara-rules/mine")).status_code == 404


async def test_what_is_not_taken_is_told(admin, auditor):
    answer = await admin.put("/yara-rules/mine", json={"text": "rule a { condition: b }"})
    assert answer.status_code == 422
    assert "unknown identifier" in answer.json()["error"]
    assert (await admin.put("/yara-rules/a%20b", json={"text": EVIL})).status_code == 422
    assert (await auditor.put("/yara-rules/mine", json={"text": EVIL})).status_code == 403
