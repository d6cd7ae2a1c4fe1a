from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent import dead_packets
from deodar.agent.dead_packets import DeadPackets
from deodar.agent.loss import LossBook
from deodar.agent.spool import StoredBatch

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def batch(number: int, body: bytes = b"body") -> StoredBatch:
    return StoredBatch(number, number, 3, 5, 7, body)


def test_packet_is_kept_and_its_events_are_counted(tmp_path: Path) -> None:
    losses = LossBook()
    DeadPackets(tmp_path / "dead", losses).keep(batch(4), "HTTP 413")
    (file,) = (tmp_path / "dead").iterdir()
    assert file.name == "00000000000000000004.ndjson.zst"
    assert file.read_bytes() == b"body"
    assert (tmp_path / "dead").stat().st_mode & 0o777 == 0o700
    (loss,) = losses.take()
    assert (loss.count, loss.stage, loss.reason) == (3, "uplink", "HTTP 413")
    assert (loss.first_ns, loss.last_ns) == (5000, 7000)


def test_oldest_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_packets, "MOST_PACKETS", 3)
    dead = DeadPackets(tmp_path / "dead", LossBook())
    for number in range(1, 6):
        dead.keep(batch(number), "no")
    assert sorted(int(path.name[:20]) for path in (tmp_path / "dead").iterdir()) == [3, 4, 5]


def test_oldest_go_when_they_are_too_large_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_packets, "MOST_BYTES", 25)
    dead = DeadPackets(tmp_path / "dead", LossBook())
    for number in range(1, 4):
        dead.keep(batch(number, b"x" * 10), "no")
    assert len(list((tmp_path / "dead").iterdir())) == 2
    dead.keep(batch(9, b"x" * 100), "no")
    assert [path.name[:20] for path in (tmp_path / "dead").iterdir()] == [f"{9:020d}"]


def test_folder_that_cannot_be_written_is_survived(tmp_path: Path) -> None:
    (tmp_path / "dead").write_text("a file in the way")
    losses = LossBook()
    DeadPackets(tmp_path / "dead", losses).keep(batch(1), "no")
    assert losses.totals() == {"uplink": 3}
