from __future__ import annotations

from prometheus_client import generate_latest

from deodar.siem.collector.board import Board, Letters
from deodar.siem.collector.metrics import metrics_of
from deodar.siem.connectors.status import ServerState, Status


def shown(board):
    return generate_latest(metrics_of(board.report())).decode()


def test_every_stage_is_counted():
    board = Board("kedr", 1)
    board.counts.received, board.counts.too_old, board.counts.repeated = 7, 2, 1
    board.counts.seconds_to_store = 1.5
    text = shown(board)
    for stage, count in (("received", 7), ("too_old", 2), ("repeated", 1), ("stored", 0)):
        assert f'deodar_collector_events_total{{stage="{stage}"}} {count}.0' in text
    assert "deodar_collector_seconds_to_store_total 1.5" in text


def test_servers_connector_and_letters_are_there():
    board = Board("kedr", 1)
    board.servers = (ServerState("https://edr:443", 3, "down"),)
    board.connector_counts = {"gaps": 2}
    board.letters = Letters(5, 600, 1)
    board.connector = Status("green", "receiving events")
    text = shown(board)
    assert 'deodar_collector_server_failures{server="https://edr:443"} 3.0' in text
    assert 'deodar_collector_connector_total{what="gaps"} 2.0' in text
    assert "deodar_collector_dead_letters 5.0" in text
    assert "deodar_collector_dead_letters_dropped_total 1.0" in text
    assert 'deodar_collector_status{colour="green"} 1.0' in text
    assert "process_resident_memory_bytes" in text
