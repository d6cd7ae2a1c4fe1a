from __future__ import annotations

from deodar.kit.asgi import guarded, once


async def test_answers_are_kept_by_nobody_unless_they_say_so_themselves():
    sent = []

    async def send(message) -> None:
        sent.append(dict(message))

    own = [(b"cache-control", b"max-age=5")]
    await guarded(send)({"type": "http.response.start", "status": 200, "headers": []})
    await guarded(send)({"type": "http.response.start", "status": 200, "headers": own})
    await guarded(send)({"type": "http.response.body", "body": b"x"})
    first, second = (dict(message["headers"]) for message in sent[:2])
    assert first == {b"cache-control": b"no-store", b"x-content-type-options": b"nosniff"}
    assert second[b"cache-control"] == b"max-age=5"
    assert sent[2]["body"] == b"x"


async def test_a_body_that_was_read_comes_once_and_then_what_else_there_is():
    async def receive():
        return {"type": "http.disconnect"}

    again = once(b"body", receive)
    assert (await again())["body"] == b"body"
    assert (await again())["type"] == "http.disconnect"
