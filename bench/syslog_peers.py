"""rsyslog and syslog-ng doing the work of a normalizer: JSON in, its fields under new names out.

Each reads the same file of events and writes one line of JSON for each, with one worker. They do
less than the normalizer: no conditions by event type, no conversions, no limits of length.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from bench.report import cpu_seconds, resident_mb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deodar.columnar.spec import Spec

FIELDS = 40
LONGEST = 300.0

RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="256k")
main_queue(queue.type="LinkedList" queue.size="200000" queue.workerThreads="1")
module(load="imfile") module(load="mmjsonparse")
input(type="imfile" file="{events}" tag="e" ruleset="all")
template(name="fields" type="list" option.jsonf="on") {{
{properties}
}}
ruleset(name="all") {{
  action(type="mmjsonparse" cookie="")
  action(type="omfile" file="{out}" template="fields" ioBufferSize="256k")
}}
"""
SYSLOG_NG = """
@version: 3.35
options {{ stats-freq(0); }};
source all {{ file("{events}" flags(no-parse) follow-freq(0.1) log-msg-size(262144)
  log-fetch-limit(1000) log-iw-size(20000)); }};
parser json {{ json-parser(prefix(".j.")); }};
destination written {{ file("{out}" template("$(format-json {pairs})\\n")
  flush-lines(1000) log-fifo-size(100000)); }};
log {{ source(all); parser(json); destination(written); flags(flow-control); }};
"""


class Peer:
    """What a peer took: events, processor seconds, resident MB at its end."""

    def __init__(self, events: int, seconds: float, memory_mb: float) -> None:
        self.events, self.seconds, self.memory_mb = events, seconds, memory_mb

    @property
    def rate(self) -> float:
        """Events for each second of processor time."""
        return self.events / self.seconds


def fields(spec: Spec, most: int = FIELDS) -> list[tuple[str, str]]:
    """Return up to `most` pairs of a source field and the field that a mapping makes of it."""
    found: dict[str, str] = {}
    for column in spec.columns:
        for rule in column.rules:
            if rule.path and "." not in rule.path:
                found.setdefault(column.target, rule.path)
    return [(source, target) for target, source in found.items()][:most]


def rsyslog(
    folder: Path, events: Path, count: int, pairs: Sequence[tuple[str, str]]
) -> Peer | None:
    """Let rsyslog of Debian map a file; None where it is not installed."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
    if program is None:
        return None
    out = folder / "rsyslog.out"
    properties = '\n  constant(value=", ")\n'.join(
        f'  property(name="$!{source}" outname="{target}" format="jsonf")'
        for source, target in pairs
    )
    properties = f'  constant(value="{{")\n{properties}\n  constant(value="}}\\n")'
    text = RSYSLOG.format(folder=folder, events=events, out=out, properties=properties)
    text = text.replace(' option.jsonf="on"', "")
    (folder / "rsyslog.conf").write_text(text)
    words = [program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslog.pid")]
    with _process(words, folder / "rsyslog.log") as process:
        return _measured(process, out, count)


def syslog_ng(
    root: Path, folder: Path, events: Path, count: int, pairs: Sequence[tuple[str, str]]
) -> Peer:
    """Let syslog-ng map a file; `root` is where its package is unpacked."""
    from tests.siem.syslog_ng import environment  # noqa: PLC0415 - how the tests run it

    out = folder / "syslog-ng.out"
    named = " ".join(f'{target}=\\"${{.j.{source}}}\\"' for source, target in pairs)
    text = SYSLOG_NG.format(events=events, out=out, pairs=named)
    (folder / "syslog-ng.conf").write_text(text)
    modules = next((root / "usr/lib/syslog-ng").glob("*/libafsocket.so")).parent
    files = {"-f": "syslog-ng.conf", "-R": "persist", "-p": "pid", "-c": "control"}
    words = [word for flag, name in files.items() for word in (flag, str(folder / name))]
    command = [str(root / "usr/sbin/syslog-ng"), "-F", "--no-caps", "--module-path", str(modules)]
    with _process([*command, *words], folder / "syslog-ng.log", environment(root)) as process:
        return _measured(process, out, count)


@contextlib.contextmanager
def _process(
    words: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        process = subprocess.Popen(list(words), stdout=file, stderr=file, env=environment)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _measured(process: subprocess.Popen[bytes], out: Path, count: int) -> Peer:
    """Wait until all lines are written; the last ones may wait for a buffer to be flushed."""
    deadline = time.monotonic() + LONGEST
    lines, seconds, size, since = 0, 0.0, -1, time.monotonic()
    while time.monotonic() < deadline and process.poll() is None:
        now = out.stat().st_size if out.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
            seconds = cpu_seconds(process.pid)
        elif size > 0 and time.monotonic() - since > 3:
            lines = _lines(out)
            break
        time.sleep(0.2)
    if lines < count * 0.98:  # what a buffer still holds is under two hundredths
        raise SystemExit(f"{process.args!r} wrote {lines} of {count} lines, see {out.parent}")
    return Peer(lines, seconds, resident_mb(process.pid))


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
