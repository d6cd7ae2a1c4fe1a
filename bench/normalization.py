"""Normalization of KEDR events into the event model, against the loop of `bench.naive`.

One thread, the best of several rounds, in processor time. ``json.loads`` alone is the limit that no
way through dictionaries can pass.
"""

from __future__ import annotations

import gc
import json
import time
from typing import TYPE_CHECKING

from bench.naive import Naive
from bench.report import Line
from bench.stand import give
from deodar.columnar.envelope import split
from deodar.columnar.program import compile as compile_spec
from deodar.events.builders import EventBuilder
from deodar.siem.normalizers import loader

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = 10_000
ROUNDS = 5


def main() -> None:
    """Measure and print."""
    spec = loader.load("kedr")
    lines = EventBuilder(1).ndjson(EVENTS).splitlines()
    body = b'{"events":[' + b",".join(lines) + b'],"continuationToken":"t"}'
    program, plain = compile_spec(spec), Naive(spec)

    def fast() -> None:
        assert program.run(split(body).events).batch.num_rows == EVENTS

    def naive() -> None:
        assert plain.run(body).num_rows == EVENTS

    def parse_only() -> None:
        json.loads(body)

    rates = {way.__name__: EVENTS / best(way) for way in (fast, naive, parse_only)}
    give(
        Line(
            "normalization, one core",
            rates["fast"],
            "events/s",
            rates["fast"] / rates["naive"],
            f"naive loop ({rates['naive']:,.0f}/s)",
        ),
        Line(
            "normalization, one core",
            rates["fast"],
            "events/s",
            rates["fast"] / rates["parse_only"],
            f"json.loads alone ({rates['parse_only']:,.0f}/s)",
        ),
        Line("mean size of an event", len(body) / EVENTS, "bytes"),
    )


def best(way: Callable[[], None]) -> float:
    """Return the processor seconds of the quickest of several rounds."""
    way()
    seconds = []
    gc.disable()
    for _ in range(ROUNDS):
        began = time.process_time()
        way()
        seconds.append(time.process_time() - began)
        gc.collect()
    gc.enable()
    return min(seconds)


if __name__ == "__main__":
    main()
