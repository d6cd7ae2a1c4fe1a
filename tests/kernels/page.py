"""The page docs/reference/kernels.md: which kernels the sensors were really tried on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from tests.kernels.plan import KERNELS, MARK, MOST_TEXT, TESTS
from tests.kernels.results import Kept, Run, Told, reason

INTRO = f"""<!-- Generated from the results of `make test-kernels` by `make docs`; do not edit. -->
# Kernels that the sensors were tried on

`make test-kernels` boots stock kernels of Debian in an emulated machine (x86_64, 2 processors, a
Debian 12 with systemd in memory, the BPF LSM switched on by the command line) and runs inside, as
root, those tests in {", ".join(f"`{path}`" for path in TESTS)} that carry the mark
`{MARK}`: they need a real kernel. This page is made from what came back; the ordinary tests run on
the kernel of whoever runs them and do not count here.

"Emulated" has limits: nothing here says how fast a sensor is, no real network card or disk was
there, and other architectures and distributions were not tried. A date says when a kernel was last
run.
"""

ABILITIES = """
What else these kernels offer was tried too, by its effect: a BPF LSM program that forbids
something, programs at a function's entry (fentry) and at a kprobe that run, a module that is loaded
and removed. The sensors above do not need them.
"""


def page(seen: dict[str, Any] | None = None) -> str:
    """Return the page's text from the kept results."""
    runs = msgspec.convert(seen or {}, Kept)
    parts = [INTRO, table(runs), ABILITIES, abilities(runs)]
    if missing := [name for name in KERNELS if name not in runs]:
        parts.append(f"\nNever run: {', '.join(missing)}.")
    parts += [_of_one(name, run) for name, run in runs.items()]
    return "\n".join(parts) + "\n"


def table(runs: Kept) -> str:
    """Return a Markdown table: a kernel a row, what loaded and how the tests ended."""
    tiers = list(dict.fromkeys(tier.name for run in runs.values() for tier in run.tiers))
    counts = ["passed", "failed", "skipped"]
    rows = [["Debian", "kernel", *tiers, *counts, "run on"]]
    rows.append(["---"] * len(rows[0]))
    for name, run in runs.items():
        works = {tier.name: "yes" if tier.works else "no" for tier in run.tiers}
        ends = [str(run.passed), str(len(run.failed)), str(len(run.skipped))]
        release = run.host.release if run.host else "did not come up"
        rows.append([name, release, *(works.get(tier, "?") for tier in tiers), *ends, run.day])
    return _markdown(rows)


def abilities(runs: Kept) -> str:
    """Return a Markdown table of what the kernels offer beside what the sensors use."""
    names = list(dict.fromkeys(tier.name for run in runs.values() for tier in run.abilities))
    rows = [["Debian", *names], ["---"] * (len(names) + 1)]
    for name, run in runs.items():
        works = {tier.name: "yes" if tier.works else "no" for tier in run.abilities}
        rows.append([name, *(works.get(ability, "?") for ability in names)])
    return _markdown(rows)


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _of_one(name: str, run: Run) -> str:
    lines = [f"\n## {name}", ""]
    if run.host:
        lines.append(f"`{run.host.release}` ({run.host.version}), security modules "
                     f"`{run.host.lsms}`, types of the kernel (BTF): "
                     f"{'yes' if run.host.btf else 'no'}.")  # fmt: skip
    lines.append(f"Run on {run.day} with the tree at {run.revision or 'an unknown commit'}, "
                 f"in {run.seconds} s.")  # fmt: skip
    if run.trouble:
        lines += ["", f"**Not run to its end:** {_one_line(run.trouble)}"]
    tried = (*run.tiers, *run.abilities)
    lines += _section("Not loaded", [f"{t.name}: {t.said}" for t in tried if not t.works])
    lines += _section("The kernel complained", run.complaints)
    lines += _section("Failed", [_failure(told) for told in run.failed])
    lines += _section("Skipped", _grouped(run.skipped))
    return "\n".join(lines)


def _section(title: str, entries: list[str]) -> list[str]:
    return ["", f"{title}:", "", *(f"- {_one_line(entry)}" for entry in entries)] if entries else []


def _grouped(skipped: list[Told]) -> list[str]:
    """Return each reason once, with the number of tests that gave it."""
    counted = Counter(reason(told.said) for told in skipped)
    return [f"{why} ({number})" for why, number in counted.most_common()]


def _failure(told: Told) -> str:
    """Return a failed test and the last line that says why."""
    errors = [line[2:] for line in told.said.splitlines() if line.startswith("E ")]
    return f"`{told.test}`: {errors[0].strip() if errors else 'no message'}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MOST_TEXT]
