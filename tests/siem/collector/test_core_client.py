from __future__ import annotations

import uuid

import pytest
from tests.siem.scripted import Reply, ScriptedServer, server_pair
from tests.siem.storage.test_service import batch

from deodar.kit.body import encode
from deodar.siem.collector.core_client import CoreClient
from deodar.siem.collector.prepare import PACKING
from deodar.siem.errors import BatchRejected, CoreUnavailable
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import pinned_client


def client(core, collector) -> CoreClient:
    pair = load_pair(collector.read("core-client.pem"))
    return CoreClient(core.url, pinned_client(collector.read("core-authority.pem"), pair))


async def test_the_core_stores_and_says_how_many_rows(core):
    batch_id = f"client-{uuid.uuid4()}"
    async with client(core, core.collector("127.0.0.1:1")) as connection:
        packed = encode(batch(batch_id, 12), PACKING)
        assert await connection.store(batch_id, packed) == 12
        with pytest.raises(BatchRejected, match="BatchID"):
            await connection.store("another", packed)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(400, b"bad column"), BatchRejected),
        (Reply(413, b"too large"), BatchRejected),
        (Reply(403, b"who are you"), CoreUnavailable),
        (Reply(404, b""), CoreUnavailable),
        (Reply(500, b""), CoreUnavailable),
        (Reply(200, b"<html>"), CoreUnavailable),
        (Reply(302, b"", {"location": "https://127.0.0.1:1"}), CoreUnavailable),
        (Reply(drop=True), CoreUnavailable),
        (Reply(200, b'{"rows": 1}', cut_after=3), CoreUnavailable),
    ],
)
async def test_only_what_the_core_says_of_the_content_is_final(tmp_path, reply, error):
    async with ScriptedServer(lambda _asked: reply, tmp_path) as server:
        context = pinned_client(server_pair().certificate)
        async with CoreClient(f"https://{server.url}", context) as connection:
            with pytest.raises(error):
                await connection.store("id", b"")


async def test_the_wish_to_wait_is_passed_on(tmp_path):
    busy = Reply(503, b"", {"retry-after": "7"})
    async with ScriptedServer(lambda _asked: busy, tmp_path) as server:
        context = pinned_client(server_pair().certificate)
        async with CoreClient(f"https://{server.url}", context) as connection:
            with pytest.raises(CoreUnavailable) as caught:
                await connection.store("id", b"")
    assert caught.value.retry_after == 7.0


async def test_a_core_that_is_away_is_unavailable():
    async with CoreClient("https://127.0.0.1:1", pinned_client(["00" * 32])) as connection:
        with pytest.raises(CoreUnavailable, match=r"127\.0\.0\.1:1"):
            await connection.store("id", b"")
