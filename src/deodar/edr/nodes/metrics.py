"""Metrics of one node among several, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from deodar.edr.nodes.node import Node


class NodeMetrics(Collector):
    """The stream as this node uses it, and whether it writes the log."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        node = self._node
        for name, text, count in (
            ("stream_repeats", "Packets that the stream had already", node.publisher.repeats),
            ("stream_full", "Packets refused because the stream is full", node.publisher.refused),
            (
                "stream_unfinished",
                "Large packets whose last part never came; no agent was told that they are safe",
                node.writer.parts_given_up,
            ),
        ):
            yield CounterMetricFamily(f"deodar_edr_{name}", text, value=count)
        for name, text, value in (
            (
                "term",
                "The term of the log's writer, as this node knows it",
                node.view.position.term,
            ),
            ("writes", "1 while this node writes the log", int(node.view.writes > 0)),
            (
                "stream_usable",
                "1 while the stream can be reached",
                int(not node.connection.problem),
            ),
        ):
            yield GaugeMetricFamily(f"deodar_edr_{name}", text, value=value)
