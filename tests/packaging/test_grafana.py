"""The dashboard asks only for metrics and labels that the programs have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deodar.siem import core
from deodar.siem.collector import board as boards
from deodar.siem.collector.metrics import metrics_of
from deodar.siem.collector.tally import DestinationReport
from deodar.siem.connectors.status import ServerState
from deodar.siem.pipeline.counts import PipelineReport, RuleReport

FILE = Path(__file__).resolve().parents[2] / "packaging/grafana/deodar-siem.json"
NAME = re.compile(r"\b(?:deodar|process)_\w+")
SELECTED = re.compile(r"\b((?:deodar|process)_\w+)\{([^}]*)\}")
ADDED = {"instance", "job"}
"""Labels that Prometheus adds to what it fetches."""


class Stored:
    """What the core's metrics are read from."""

    stored = batches = refused = 1


def samples():
    """Return each metric's name with its labels, of all programs, as they are fetched."""
    board = boards.Board("kedr", 1)
    board.servers = (ServerState("https://edr:443"),)
    board.connector_counts = {"gaps": 1}
    board.pipeline = PipelineReport((RuleReport("names", {"written": 1}),))
    board.destinations = (DestinationReport("hook", "http"),)
    found: dict[str, set[str]] = {}
    for registry in (metrics_of(board.report()), core.metrics_of(Stored())):
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions():
    dashboard = json.loads(FILE.read_text("utf-8"))
    return [
        (panel["title"], target["expr"], target["legendFormat"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.mark.parametrize(("title", "expression", "legend"), expressions())
def test_each_expression_names_metrics_and_labels_that_there_are(title, expression, legend):
    known = samples()
    names = set(NAME.findall(expression))
    assert names, title
    assert names - set(known) == set()
    labels = set().union(*(known[name] for name in names)) | ADDED
    for _, selector in SELECTED.findall(expression):
        assert set(re.findall(r"(\w+)=", selector)) <= labels
    for group in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.findall(r"\w+", group)) <= labels
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels
    assert expression.count("(") == expression.count(")")


def test_every_metric_of_ours_is_on_the_dashboard():
    shown = {name for _, expression, _ in expressions() for name in NAME.findall(expression)}
    own = {name for name in samples() if name.startswith("deodar_")}
    own -= {name for name in own if name.endswith("_created")}
    assert own - shown <= {"deodar_collector_destination_batches_total"}


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(FILE.read_text("utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
