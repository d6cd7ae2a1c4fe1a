from __future__ import annotations

from tests.siem.scripted import Reply, ScriptedServer, server_pair

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore
from deodar.siem.collector.board import Board
from deodar.siem.collector.core_client import CoreClient
from deodar.siem.collector.delivery import Delivery
from deodar.siem.collector.prepare import Prepared
from deodar.siem.pipeline.counts import StageCounts
from deodar.tls.contexts import pinned_client

LETTER = DeadLetter("bad", "$.x", 3, b"raw", "https://edr:443")


async def deliver(tmp_path, script, prepared):
    """Deliver one batch to a scripted core; returns what was asked, the letters and the board."""
    letters, board = DeadLetterStore(tmp_path / "letters"), Board("kedr", 1)
    async with ScriptedServer(script, tmp_path) as server:
        context = pinned_client(server_pair().certificate)
        async with CoreClient(f"https://{server.url}", context) as core:
            await Delivery(core, letters, board).deliver(prepared)
    return server.asked, letters, board


def batch(**changes):
    given = {"payload": b"arrow", "rows": 5, "body": b"body", "url": "https://edr:443"}
    return Prepared(1, "batch-1", **(given | changes))


async def test_a_batch_is_tried_again_until_it_is_stored(tmp_path):
    troubles = [Reply(503), Reply(500), Reply(drop=True)]

    def script(asked):
        return troubles[asked.number] if asked.number < 3 else Reply(200, b'{"rows": 5}')

    asked, letters, board = await deliver(tmp_path, script, batch())
    assert [request.path for request in asked] == ["/storage/v1/batches/batch-1"] * 4
    assert board.counts.stored == 5
    assert board.core_hindrance == ""
    assert letters.count == 0


async def test_a_refused_batch_is_kept_whole_and_the_stream_goes_on(tmp_path):
    asked, letters, board = await deliver(
        tmp_path, lambda _asked: Reply(400, b"no column X"), batch()
    )
    assert len(asked) == 1
    (stored,) = letters.list()
    assert stored.letter.raw == b"body"
    assert "no column X" in stored.letter.reason
    assert (board.counts.dead, board.counts.stored) == (5, 0)


async def test_dead_letters_are_kept_once_however_often_a_batch_is_redone(tmp_path):
    script = lambda _asked: Reply(200, b'{"rows": 5}')  # noqa: E731
    for _ in range(2):
        _, letters, _ = await deliver(tmp_path, script, batch(letters=(LETTER,)))
    assert letters.count == 1
    assert letters.list()[0].batch_id == "batch-1"


async def test_a_batch_without_rows_is_not_sent(tmp_path):
    asked, letters, board = await deliver(
        tmp_path, lambda _asked: Reply(500), batch(payload=None, rows=0, letters=(LETTER,))
    )
    assert asked == []
    assert board.counts.dead == letters.count == 1


async def test_what_the_stages_did_is_counted_with_the_batch(tmp_path):
    stages = StageCounts(filtered=2, aggregated_in=3)
    prepared = batch(normalized=10, stages=stages)
    script = lambda _asked: Reply(200, b'{"rows": 5}')  # noqa: E731
    _, _, board = await deliver(tmp_path, script, prepared)
    assert (board.counts.normalized, board.counts.stages) == (10, stages)
