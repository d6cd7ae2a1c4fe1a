from __future__ import annotations


async def test_dead_letters_are_listed_and_shown_as_they_came(server, auditor):
    await server.put_raw(b"no event\n")
    (letter,) = (await auditor.get("/dead-letters")).json()
    assert (letter["text"], letter["line"], letter["size"]) == ("no event", 1, 8)
    shown = await auditor.get(f"/dead-letters/{letter['id']}")
    assert shown.content == b"no event"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert (await auditor.get("/dead-letters/9-9")).status_code == 404
    assert (await auditor.get("/dead-letters/%E2%82%AC")).status_code == 404
