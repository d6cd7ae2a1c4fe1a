from __future__ import annotations

import concurrent.futures
import ssl
import time
import uuid

import httpx
import pyarrow as pa
import pytest
import zstandard
from tests.siem.storage.test_wire import stream

from deodar.siem.storage.service import PREFIX
from deodar.tls.certificates import issue_client, make_authority, make_request, self_signed
from deodar.tls.contexts import pinned_client


def batch(batch_id: str, rows: int = 10, **more: pa.Array) -> bytes:
    columns = {
        "ID": pa.array([str(uuid.uuid4()) for _ in range(rows)]),
        "Timestamp": pa.array(range(rows), pa.int64()),
        "BatchID": pa.array([batch_id] * rows),
        "BatchTime": pa.array([1_795_310_453_954] * rows, pa.timestamp("ms", "UTC")),
    }
    return stream(columns | more)


@pytest.fixture(scope="module")
def client(core):
    with core.client(core.collector("127.0.0.1:1", name="storage-tests")) as client:
        yield client


def rows_of(core, batch_id):
    return core.search(f"select count() as n from events where BatchID = '{batch_id}'")[0]["n"]


def test_a_batch_is_stored_once_however_often_it_is_sent(core, client):
    batch_id = f"once-{uuid.uuid4()}"
    body = batch(batch_id, 100)
    answers = [client.post(PREFIX + batch_id, content=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.json() for answer in answers] == [{"rows": 100}] * 3
    assert rows_of(core, batch_id) == 100


def test_equal_rows_in_two_batches_are_both_stored(core, client):
    first, second = f"a-{uuid.uuid4()}", f"b-{uuid.uuid4()}"
    for batch_id in (first, second):
        assert client.post(PREFIX + batch_id, content=batch(batch_id, 5)).status_code == 200
    assert rows_of(core, first) == rows_of(core, second) == 5


def test_a_packed_batch_is_taken(core, client):
    batch_id = f"zstd-{uuid.uuid4()}"
    body = zstandard.ZstdCompressor().compress(batch(batch_id, 7))
    answer = client.post(PREFIX + batch_id, content=body, headers={"content-encoding": "zstd"})
    assert answer.status_code == 200
    assert rows_of(core, batch_id) == 7


def test_a_wrong_batch_is_refused_with_the_reason_and_the_next_one_is_stored(core, client):
    batch_id = f"wrong-{uuid.uuid4()}"
    wrong = batch(batch_id, 2, Nonsense=pa.array(["a", "b"]))
    answer = client.post(PREFIX + batch_id, content=wrong)
    assert answer.status_code == 400
    assert "Nonsense" in answer.text
    assert client.post(PREFIX + batch_id, content=batch(batch_id, 2)).status_code == 200
    assert rows_of(core, batch_id) == 2


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_batch_is_refused(client, content):
    assert client.post(f"{PREFIX}x", content=content).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{PREFIX}x", 405),
        ("POST", "/", 404),
        ("POST", f"{PREFIX}a%20b", 400),
        ("POST", f"{PREFIX}{'x' * 200}", 400),
        ("POST", PREFIX, 400),
    ],
)
def test_other_requests_are_refused(client, method, path, status):
    assert client.request(method, path).status_code == status


def test_nobody_without_a_certificate_of_this_siem_gets_in(core):
    other = make_authority("other")
    request, key = make_request("collector x")
    foreign = issue_client(other, request, "collector x")
    with core.client(None) as client:
        assert client.post(f"{PREFIX}x", content=b"x" * 1000).status_code == 403
    for pem in (foreign + key, self_signed("collector x").pem, core.home.read("core.pem")):
        assert _with(core, pem).status_code == 403


def _with(core, pem: bytes) -> httpx.Response:
    from deodar.tls.certificates import load_pair

    context: ssl.SSLContext = pinned_client(core.home.read("authority.pem"), load_pair(pem))
    with httpx.Client(verify=context, base_url=core.url) as client:
        return client.post(f"{PREFIX}x", content=b"")


def test_many_at_once_are_told_to_wait_and_all_get_in(core):
    collector = core.collector("127.0.0.1:1")
    ids = [f"many-{uuid.uuid4()}" for _ in range(24)]

    def store(batch_id: str) -> set[int]:
        body, seen = batch(batch_id, 50), set()
        with core.client(collector) as client:
            for _ in range(100):
                answer = client.post(PREFIX + batch_id, content=body)
                seen.add(answer.status_code)
                if answer.status_code == 200:
                    break
                assert answer.headers["retry-after"] == "1"
                time.sleep(0.1)
        return seen

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        seen = set.union(*pool.map(store, ids))
    assert seen <= {200, 503}
    listed = ", ".join(f"'{batch_id}'" for batch_id in ids)
    found = core.search(f"select count() as n from events where BatchID in ({listed})")
    assert found == [{"n": 24 * 50}]
