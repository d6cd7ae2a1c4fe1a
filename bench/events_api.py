"""Reading the events API, as an external system over TLS, against the engine's own read."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from bench.report import Line
from bench.stand import PAGE, Reader, give, rate, stack, write_events
from deodar.edr import installation
from deodar.edr.log.schema import TABLE
from deodar.store.engine import open_engine

if TYPE_CHECKING:
    from deodar.demo.stack import Stack

EVENTS = 200_000
ROUNDS = 2


def main() -> None:
    """Measure and print."""
    with stack() as parts:
        url = parts.start_edr()["url"]
        parts.import_events(write_events(parts.folder / "events.ndjson", EVENTS))
        served = max(read_api(parts, url) for _ in range(ROUNDS))
        parts.close()
        engine_own = max(read_engine(parts) for _ in range(ROUNDS))
    give(
        Line(
            "events API, one reader without a filter",
            served,
            "events/s",
            served / engine_own,
            f"the engine's own read ({engine_own:,.0f}/s)",
        )
    )


def read_api(parts: Stack, url: str) -> float:
    """Read the whole log by pages over HTTPS; returns events per second."""
    with contextlib.closing(Reader(parts, url)) as reader:
        count = 0
        began = time.monotonic()
        while count < EVENTS:
            page = reader.page()
            assert page
            count += len(page)
        return rate(count, began)


def read_engine(parts: Stack) -> float:
    """Read the same pages straight from the engine; returns events per second."""
    engine = open_engine(installation.open_(parts.edr).store_url)
    seq = count = 0
    began = time.monotonic()
    while count < EVENTS:
        rows = engine.query(
            f"SELECT seq, raw FROM {TABLE} WHERE seq > {{after:UInt64}} "  # noqa: S608  # a constant
            "ORDER BY seq LIMIT {page:UInt64}",
            {"after": seq, "page": PAGE},
        )
        seq = rows.column("seq")[-1].as_py()
        count += rows.num_rows
    result = rate(count, began)
    engine.close()
    return result


if __name__ == "__main__":
    main()
