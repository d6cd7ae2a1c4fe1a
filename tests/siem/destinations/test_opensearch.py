"""OpenSearch's bulk API: a program that speaks it, and a scripted cluster for what goes wrong."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest
from tests.siem.batches import batch
from tests.siem.connectors.web import Asked, Reply, Web
from tests.siem.noida import Noida

from deodar.siem.destinations.opensearch import OpenSearchDestination, OpenSearchSettings
from deodar.siem.errors import DestinationRefused, DestinationUnavailable


class Cluster(Web):
    """Does what the API's documentation says of `create`: 201, 409 when the id is there."""

    def __init__(self) -> None:
        super().__init__(self._answer_bulk)
        self.documents: dict[str, dict[str, dict]] = {}
        self.trouble: dict[str, tuple[int, str]] = {}
        self.replies: list[Reply] = []

    def _answer_bulk(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            return Reply(b'{"version":{"number":"2.19.0"}}')
        if self.replies:
            return self.replies.pop(0)
        body = asked.body
        if asked.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        lines = [json.loads(line) for line in body.splitlines()]
        items = [
            self._create(op["create"], doc) for op, doc in zip(lines[::2], lines[1::2], strict=True)
        ]
        return Reply(json.dumps({"took": 1, "errors": True, "items": items}).encode())

    def _create(self, target: dict, document: dict) -> dict:
        index = self.documents.setdefault(target["_index"], {})
        status, error = self.trouble.get(target["_id"], (201, ""))
        if target["_id"] in index:
            status, error = 409, "version_conflict_engine_exception"
        elif status == 201:
            index[target["_id"]] = document
        found = {"_index": target["_index"], "_id": target["_id"], "status": status}
        return {"create": found | ({"error": {"type": error, "reason": "why"}} if error else {})}

    def opened(self, folder, **changes) -> OpenSearchDestination:
        settings = OpenSearchSettings(
            name="x", kind="opensearch", urls=[self.url], timeout=5.0, **changes
        )
        assert settings.problem() == ""
        return OpenSearchDestination(settings, folder)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("form", ["json", "ecs", "ocsf"])
async def test_a_program_that_speaks_the_api_keeps_each_event_once(tmp_path, form, compression):
    with Noida(tmp_path, "elasticsearch") as node:
        url = f"http://{node.address}"
        settings = OpenSearchSettings(
            name="x", kind="opensearch", urls=[url], form=form, compression=compression
        )
        for _ in range(2):
            destination = OpenSearchDestination(settings, tmp_path)
            assert "answers 200" in await destination.check()
            await destination.deliver(batch(50))
            await destination.close()
        async with httpx.AsyncClient(base_url=f"{url}/deodar-2026.11.22", timeout=20) as client:
            await client.post("/_refresh")
            assert (await client.get("/_count")).json()["count"] == 50
            found = (await client.get("/_doc/id-7")).json()
    assert found["found"]
    assert "id-7" in json.dumps(found["_source"])


async def test_an_event_that_a_mapping_refuses_is_told_by_the_program_too(tmp_path):
    with Noida(tmp_path, "elasticsearch") as node:
        url = f"http://{node.address}"
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            mapping = {"mappings": {"properties": {"FilePath": {"type": "integer"}}}}
            assert (await client.put("/strict", json=mapping)).is_success
        settings = OpenSearchSettings(
            name="x", kind="opensearch", urls=[url], form="json", index="strict"
        )
        destination = OpenSearchDestination(settings, tmp_path)
        with pytest.raises(DestinationRefused, match="400: ") as caught:
            await destination.deliver(batch(3))
        await destination.close()
    assert [letter.index for letter in caught.value.letters] == [0, 1, 2]


async def test_events_are_documents_by_their_id_in_the_index_of_their_day(tmp_path):
    async with Cluster() as cluster:
        destination = cluster.opened(tmp_path)
        assert "answers 200" in await destination.check()
        await destination.deliver(batch(10))
        await destination.close()
    (name,) = cluster.documents
    assert name == "deodar-2026.11.22"
    assert set(cluster.documents[name]) == {f"id-{n}" for n in range(10)}
    assert cluster.documents[name]["id-3"]["@timestamp"].startswith("2026-11-22T")


async def test_an_event_that_is_sent_again_is_kept_once(tmp_path):
    async with Cluster() as cluster:
        for _ in range(2):
            destination = cluster.opened(tmp_path, form="json", compression="none")
            await destination.deliver(batch(5))
            await destination.close()
    assert sum(map(len, cluster.documents.values())) == 5


async def test_what_the_index_refuses_is_a_dead_letter_each_and_the_others_are_there(tmp_path):
    async with Cluster() as cluster:
        cluster.trouble["id-2"] = (400, "mapper_parsing_exception")
        destination = cluster.opened(tmp_path, max_events=4)
        with pytest.raises(DestinationRefused, match="mapper_parsing_exception") as caught:
            await destination.deliver(batch(10))
        await destination.close()
    assert sum(map(len, cluster.documents.values())) == 9
    assert caught.value.rows == 1
    (letter,) = caught.value.letters
    assert letter.index == 2
    assert json.loads(letter.raw)["event"]["id"] == "id-2"
    assert "400: mapper_parsing_exception: why" in letter.reason


async def test_what_is_too_busy_is_sent_again_without_the_rest(tmp_path):
    async with Cluster() as cluster:
        cluster.trouble["id-1"] = (429, "es_rejected_execution_exception")
        cluster.trouble["id-2"] = (400, "mapper_parsing_exception")
        destination = cluster.opened(tmp_path, compression="none")
        with pytest.raises(DestinationUnavailable, match="1 of 5 events: 429"):
            await destination.deliver(batch(5))
        del cluster.trouble["id-1"]
        with pytest.raises(DestinationRefused) as caught:
            await destination.deliver(batch(5))
        await destination.close()
        assert len(cluster.asked[-1].body.splitlines()) == 2
    assert [letter.index for letter in caught.value.letters] == [2]
    assert sum(map(len, cluster.documents.values())) == 4


async def test_a_cluster_that_turns_away_says_when_to_come_again(tmp_path):
    async with Cluster() as cluster:
        cluster.replies = [
            Reply(b"busy", 429, {"Retry-After": "7"}),
            Reply(b"<html>"),
            Reply(b"no", 403),
        ]
        destination = cluster.opened(tmp_path)
        for words, wish in (
            ("answers 429: busy", 7.0),
            ("no answer of _bulk", None),
            ("403", None),
        ):
            with pytest.raises(DestinationUnavailable, match=words) as caught:
                await destination.deliver(batch(1))
            assert caught.value.retry_after == wish
        await destination.deliver(batch(1))
        await destination.close()


async def test_another_node_takes_over(tmp_path):
    async with Cluster() as cluster:
        urls = ["http://127.0.0.1:9", cluster.url]
        settings = OpenSearchSettings(name="x", kind="opensearch", urls=urls, timeout=5.0)
        destination = OpenSearchDestination(settings, tmp_path)
        await destination.deliver(batch(3))
        await destination.close()
    assert sum(map(len, cluster.documents.values())) == 3


async def test_a_data_stream_gets_a_time_in_every_form(tmp_path):
    async with Cluster() as cluster:
        for form in ("json", "ecs", "ocsf"):
            destination = cluster.opened(tmp_path, form=form, index=f"d-{form}", data_stream=True)
            await destination.deliver(batch(1))
            await destination.close()
    for documents in cluster.documents.values():
        assert documents["id-0"]["@timestamp"].startswith("2026-11-22T")


async def test_who_it_is_is_shown(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "key").write_text("abc=")
    async with Cluster() as cluster:
        for changes in ({"user": "deodar", "password_file": "password"}, {"api_key_file": "key"}):
            destination = cluster.opened(tmp_path, **changes)
            await destination.deliver(batch(1))
            await destination.close()
        found = [asked.headers["authorization"] for asked in cluster.asked]
    assert found == ["Basic ZGVvZGFyOnNlY3JldA==", "ApiKey abc="]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"urls": []}, "urls: give one"),
        ({"urls": ["x"]}, "urls: 'x'"),
        ({"index": "Deodar"}, "index: 'Deodar'"),
        ({"data_stream": True}, "no date"),
        ({"user": "x"}, "user: give"),
    ],
)
def test_settings_that_do_not_fit_are_told(change, words):
    settings = {"name": "x", "kind": "opensearch", "urls": ["http://x"], **change}
    assert words in OpenSearchSettings(**settings).problem()
