from __future__ import annotations

import msgspec
from prometheus_client import generate_latest

from deodar.kit.directory import StateDirectory
from deodar.siem.collector import board as boards
from deodar.siem.collector.metrics import metrics_of
from deodar.siem.collector.tally import Tally
from deodar.siem.connectors.status import Status
from deodar.siem.pipeline.counts import PipelineReport, RuleReport, StageCounts


def board():
    made = boards.Board("kedr", 42)
    made.connector = Status("green", "receiving events")
    return made


def test_the_way_to_the_core_can_turn_a_green_connector_yellow():
    made = board()
    assert made.status.colour == "green"
    made.core_hindrance = "the core is away"
    assert made.status == Status("yellow", "the core is away")
    made.connector = Status("yellow", "waiting for authorization")
    assert made.status.reason == "waiting for authorization"


def test_a_saved_report_is_red_when_read_without_the_program(tmp_path):
    home = StateDirectory(tmp_path)
    made = board()
    made.counts.received = 5
    made.error("oops")
    boards.save(home, made.report())
    found = boards.saved(home)
    assert found.status.colour == "red"
    assert found.counts.received == 5
    assert found.last_error == "oops"


def test_no_report_or_a_broken_one_is_none(tmp_path):
    home = StateDirectory(tmp_path)
    assert boards.saved(home) is None
    home.write(boards.FILE, b"{")
    assert boards.saved(home) is None


def test_a_report_does_not_change_with_the_board():
    made = board()
    report = made.report()
    made.counts.received += 1
    assert report.counts.received == 0


def test_metrics_show_counts_and_the_colour():
    made = board()
    made.counts.received = 7
    made.stored(6, 0)
    text = generate_latest(metrics_of(made.report())).decode()
    assert 'deodar_collector_events_total{stage="received"} 7.0' in text
    assert 'deodar_collector_events_total{stage="stored"} 6.0' in text
    assert 'deodar_collector_status{colour="green"} 1.0' in text
    assert 'deodar_collector_status{colour="red"} 0.0' in text


def test_a_hindered_destination_turns_a_green_collector_yellow_and_is_in_the_metrics():
    made = board()
    tally = Tally("archive", "file")
    tally.failed("no disk", hinders=True)
    made.destinations = (made.storage(waiting=0), tally.report(waiting=3))
    assert made.status.colour == "yellow"
    assert made.status.reason.startswith("destination archive: ")
    text = generate_latest(metrics_of(made.report())).decode()
    assert 'deodar_collector_destination_waiting{destination="archive",kind="file"} 3.0' in text


def test_a_report_from_before_there_were_destinations_is_read(tmp_path):
    home = StateDirectory(tmp_path)
    old = msgspec.to_builtins(board().report())
    del old["destinations"], old["counts"]["batches"]
    home.write(boards.FILE, msgspec.json.encode(old))
    assert boards.saved(home).destinations == ()


def test_the_metrics_show_what_the_stages_did():
    made = board()
    made.counts.stages += StageCounts(filtered=3, aggregated_in=9)
    made.pipeline = PipelineReport((RuleReport("names", {"from_cache": 4}),), windows=2)
    text = generate_latest(metrics_of(made.report())).decode()
    assert 'deodar_collector_events_total{stage="filtered"} 3.0' in text
    assert 'deodar_collector_events_total{stage="aggregated_in"} 9.0' in text
    assert 'deodar_collector_enrichment_total{outcome="from_cache",rule="names"} 4.0' in text
    assert "deodar_collector_aggregation_windows 2.0" in text


def test_stages_that_wait_turn_a_green_collector_yellow_until_they_go_on():
    made = board()
    made.hinder_stages("the disk is full")
    assert made.status == Status("yellow", "the disk is full")
    made.hinder_stages("")
    assert made.status.colour == "green"
    assert made.report().last_error == "the disk is full"
