"""From the EDR server's port into the SIEM's store, and normalization alone beside its peers.

The way: the EDR server has the events in its log already; a collector fetches them over TLS, and
the core stores them; every hop is durable before it acknowledges. Goals on two cores: 40,000
events/s on the way, and 60,000/s normalized on one core. rsyslog and syslog-ng do the same fields
on the same events in the same run. Then the same way again, with one bad event in every answer.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import tempfile
import time
from pathlib import Path

from bench import syslog_peers
from bench.report import Line, cpu_seconds
from bench.stand import give, rate, stack, write_events
from deodar.columnar.envelope import split
from deodar.columnar.errors import EnvelopeError
from deodar.columnar.program import compile as compile_spec
from deodar.demo.stack import attempts
from deodar.siem.normalizers import loader

EVENTS = 300_000
PAGE = 10_000
GOAL = 40_000
CORE_GOAL = 60_000
LONGEST = 300


def main(events: int = EVENTS) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="deodar-bench-") as folder:
        alone(Path(folder), events)
    way(events)


def alone(folder: Path, events: int) -> None:
    """Measure normalization beside its peers, in events per second of processor time."""
    from tests.siem.syslog_ng import unpacked  # noqa: PLC0415 - how the tests get it

    file = write_events(folder / "events.ndjson", events)
    pairs = syslog_peers.fields(loader.load("kedr"))
    own, bad = _normalized(file, 0), _normalized(file, PAGE)
    peers = {"rsyslog": syslog_peers.rsyslog(folder, file, events, pairs)}
    root = unpacked(folder)
    if root is not None:
        peers["syslog-ng"] = syslog_peers.syslog_ng(root, folder, file, events, pairs)
    give(
        Line("normalization, one core", own, "events/s", own / CORE_GOAL, f"goal {CORE_GOAL:,}/s"),
        Line("the same with one bad event of 10,000", bad, "events/s", bad / own, "without it"),
    )
    for name, peer in peers.items():
        if peer is None:
            print(f"{name} is not installed: not measured", file=sys.stderr)
            continue
        beside = f"{name} ({peer.rate:,.0f}/s, {len(pairs)} fields)"
        give(
            Line("normalization, one core", own, "events/s", own / peer.rate, beside),
            Line(f"{name}: memory", peer.memory_mb, "MB"),
        )


def _normalized(file: Path, bad_every: int) -> float:
    """Return events per processor second; of every `bad_every` (0: none) events one is broken."""
    program = compile_spec(loader.load("kedr"))
    lines = file.read_bytes().splitlines()
    count, seconds = 0, 0.0
    for begin in range(0, len(lines), PAGE):
        page = lines[begin : begin + PAGE]
        if bad_every:
            page[len(page) // 2] = page[len(page) // 2].replace(b'"EventType"', b'"EventType', 1)
        body = b'{"events":[' + b",".join(page) + b'],"continuationToken":"t"}'
        gc.disable()
        began = time.process_time()
        rows = _run(program, body)
        seconds += time.process_time() - began
        gc.enable()
        count += rows
    return count / seconds


def _run(program: object, body: bytes) -> int:
    from deodar.columnar.envelope import salvage  # noqa: PLC0415

    try:
        events = split(body).events
    except EnvelopeError:
        events = salvage(body)[0]
    return int(program.run(events).batch.num_rows)  # type: ignore[attr-defined]


def way(events: int) -> None:
    """Measure the way from the EDR server's port to the store."""
    with stack() as parts:
        url = parts.start_edr()["url"]
        file = write_events(parts.folder / "events.ndjson", events)
        parts.import_events(file)
        file.unlink()
        parts.start_core(url)
        parts.start_collector()
        before = {name: cpu_seconds(child.pid) for name, child in parts.children.items()}
        parts.accept_collector()
        began = _first(parts)
        _wait(parts, events)
        whole = rate(events, began)
        used = {
            name: cpu_seconds(child.pid) - before[name] for name, child in parts.children.items()
        }
        peaks = {name: _peak_mb(child.pid) for name, child in parts.children.items()}
    give(
        Line("EDR server's port to the store", whole, "events/s", whole / GOAL, f"goal {GOAL:,}/s"),
        *(
            Line(f"of it processor time of {name}", seconds / events * 1e6, "µs/event")
            for name, seconds in used.items()
        ),
        *(Line(f"peak memory of {name}", peak, "MB") for name, peak in peaks.items()),
    )


def _first(parts: object) -> float:
    """Return the moment at which the collector was found to be let in."""
    log = parts.folder / "logs" / "collector.log"  # type: ignore[attr-defined]
    for _ in attempts(LONGEST, pause=0.02):
        if b"receiving events" in log.read_bytes():
            return time.monotonic()
    raise SystemExit("the collector was not let in")


def _wait(parts: object, events: int) -> None:
    row = {"events": 0}
    for _ in attempts(LONGEST, pause=0.2):
        with contextlib.suppress(IndexError):
            (row,) = parts.search("SELECT count() AS events FROM events")  # type: ignore[attr-defined]
        if int(row["events"]) >= events:
            return
    raise SystemExit(f"only {row['events']} of {events} events arrived in {LONGEST} s")


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)
