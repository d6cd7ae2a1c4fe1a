from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.sensors.base import Lost
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.replay import ReplayBlock, ReplayOptions, ReplaySensor
from deodar.events.builders import EventBuilder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.agent.packets import Place


def sensor(file: Path, place: Place | None = None, **options: Any) -> ReplaySensor:
    options = {"exit_at_end": True, **options}
    opened = ReplaySensor(ReplayOptions(file, **options), place)
    opened.open()
    return opened


def read_all(source: ReplaySensor) -> tuple[list[ReplayBlock], list[Lost]]:
    blocks: list[ReplayBlock] = []
    lost: list[Lost] = []
    deadline = time.monotonic() + 20
    while not source.finished:
        assert time.monotonic() < deadline
        for found in source.read(0.01):
            if isinstance(found, Lost):
                lost.append(found)
            else:
                blocks.append(found)
    return blocks, lost


def ids(blocks: list[ReplayBlock]) -> list[str]:
    return [json.loads(line)["Id"] for block in blocks for line in block.text.splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(EventBuilder(1).ndjson(1000))
    return path


def test_every_line_comes_once_in_order(file: Path) -> None:
    source = sensor(file, maximum_events=300)
    blocks, lost = read_all(source)
    assert ids(blocks) == [json.loads(line)["Id"] for line in file.read_bytes().splitlines()]
    assert [block.header.events for block in blocks] == [300, 300, 300, 100]
    assert lost == []
    assert source.counters().received == 1000
    source.close()


def test_blocks_are_no_larger_than_allowed(file: Path) -> None:
    blocks, _ = read_all(sensor(file, maximum_bytes=20_000))
    assert all(len(block.text) <= 20_000 for block in blocks)
    assert sum(block.header.events for block in blocks) == 1000
    assert all(block.text.count(b"\n") == block.header.events for block in blocks)


def test_header_tells_the_times(file: Path) -> None:
    times = [json.loads(line)["Timestamp"] for line in file.read_bytes().splitlines()]
    blocks, _ = read_all(sensor(file))
    assert (blocks[0].header.first, blocks[-1].header.last) == (times[0], times[-1])


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4])
def test_reading_goes_on_at_the_place_of_any_block(file: Path, taken: int) -> None:
    whole, _ = read_all(sensor(file, maximum_events=300))
    place = whole[taken - 1].header.place if taken else None
    rest, _ = read_all(sensor(file, place, maximum_events=200))
    assert ids(whole[:taken]) + ids(rest) == ids(whole)


def test_place_in_another_file_is_not_used(file: Path, tmp_path: Path) -> None:
    whole, _ = read_all(sensor(file))
    other = tmp_path / "other.ndjson"
    other.write_bytes(file.read_bytes())
    again, _ = read_all(sensor(other, whole[-1].header.place))
    assert len(ids(again)) == 1000


def test_last_line_needs_no_line_feed(file: Path) -> None:
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    blocks, _ = read_all(sensor(file))
    assert len(ids(blocks)) == 1000
    assert blocks[-1].text.endswith(b"\n")
    nothing, _ = read_all(sensor(file, blocks[-1].header.place))
    assert nothing == []


def test_growing_file_is_followed(file: Path, until: Callable[..., Any]) -> None:
    source = sensor(file, exit_at_end=False)
    assert sum(block.header.events for block in source.read(0.01)) == 1000
    assert source.read(0.01) == []
    with file.open("ab") as opened:
        opened.write(b'{"Id": "x", "Timest')
        opened.flush()
        assert source.read(0.01) == []
        opened.write(b'amp": 5}\n')
    (block,) = until(lambda: source.read(0.01))
    assert ids([block]) == ["x"]
    assert block.header.first == 5
    assert not source.finished
    source.close()


def test_whole_last_line_of_a_resting_file_is_taken(file: Path, until: Callable[..., Any]) -> None:
    file.write_bytes(b'{"Id": "x"}')
    source = sensor(file, exit_at_end=False)
    assert source.read(0.01) == []
    (block,) = until(lambda: source.read(0.01))
    assert ids([block]) == ["x"]
    with file.open("ab") as opened:
        opened.write(b'\n{"Id": "y"}\n')
    (block,) = until(lambda: source.read(0.01))
    assert ids([block]) == ["y"]
    source.close()


def test_line_too_long_for_a_packet_is_lost_and_told(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    long = b'{"Id": "long", "A": "' + b"x" * 5000 + b'"}\n'
    file.write_bytes(b'{"Id": "a"}\n' + long + b'{"Id": "b"}\n' + long + b'{"Id": "c"}\n')
    source = sensor(file, maximum_bytes=1000)
    blocks, lost = read_all(source)
    assert ids(blocks) == ["a", "b", "c"]
    assert [one.count for one in lost] == [1, 1]
    assert "byte 12" in lost[0].reason
    assert source.counters().lost == 2


def test_empty_lines_are_no_events(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b'\n\n{"Id": "a"}\n\n  \n{"Id": "b"}\n\n')
    blocks, _ = read_all(sensor(file))
    assert [block.text for block in blocks] == [b'{"Id": "a"}\n{"Id": "b"}\n']
    assert blocks[0].header.events == 2


def test_lines_that_are_no_events_go_on_to_the_server(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b'nonsense\n[1]\n{"Timestamp": "x"}\n\xff\n')
    (block,), _ = read_all(sensor(file))
    assert block.text == file.read_bytes()
    assert block.header.events == 4
    assert abs(block.header.first / 1e6 - time.time()) < 60


def test_file_that_was_cut_off_is_read_from_its_start(
    file: Path, until: Callable[..., Any]
) -> None:
    source = sensor(file, exit_at_end=False)
    assert source.read(0.01)
    file.write_bytes(b'{"Id": "new"}\n')
    (block,) = until(lambda: source.read(0.01))
    assert ids([block]) == ["new"]
    source.close()


def test_rate_is_kept(file: Path) -> None:
    started = time.monotonic()
    blocks, _ = read_all(sensor(file, rate=2000))
    assert len(ids(blocks)) == 1000
    assert 0.4 <= time.monotonic() - started < 5


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SensorUnavailable, match=r"missing\.ndjson"):
        sensor(tmp_path / "missing.ndjson")


def test_closed_sensor_reads_nothing(file: Path) -> None:
    source = sensor(file)
    source.close()
    source.close()
    assert source.read(0.01) == []


def test_interrupt_ends_a_read_that_waits_for_its_rate(tmp_path):
    import threading

    file = tmp_path / "events.ndjson"
    file.write_bytes(b'{"Id": 1}\n' * 3)
    sensor = ReplaySensor(ReplayOptions(file, rate=0.01))
    sensor.open()
    assert sensor.read(0)
    threading.Timer(0.2, sensor.interrupt).start()
    before = time.monotonic()
    assert sensor.read(30.0) == []
    assert time.monotonic() - before < 15
    sensor.close()
