"""How many inputs each target gets, and the count of them at the end.

Without more words it is a few hundred each; ``make fuzz`` sets ``DEODAR_FUZZ_SECONDS``, and each
target then gets inputs for its share of that time.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("DEODAR_FUZZ_SECONDS", "0"))
EXAMPLES = 300
"""Inputs of a short run."""
ROUND = 2000
"""Inputs of one round of a long run."""
SLOWEST = 10.0
"""Seconds that no input may take."""
MOST_MEMORY = 400 << 20
"""Bytes by which a target may raise the process's greatest size."""


@dataclass
class Tally:
    """What became of one target's inputs."""

    name: str
    taken: int = 0
    refused: int = 0
    slowest: float = 0.0
    grown: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return self.taken + self.refused


TALLIES: list[Tally] = []


class Fuzzer:
    """Gives inputs to targets."""

    def __init__(self, share: float) -> None:
        self._share = share

    def run(self, name: str, inputs: SearchStrategy[Any], target: Callable[[Any], str]) -> Tally:
        """Call `target` with inputs; it returns "" for one that was taken, else why not.

        Whatever it raises fails the test, as does an input that takes too long or much memory.
        """
        tally = Tally(name)
        TALLIES.append(tally)
        before = _peak()

        def one(given_input: Any) -> None:
            began = time.perf_counter()
            refused = target(given_input)
            took = time.perf_counter() - began
            tally.slowest = max(tally.slowest, took)
            tally.taken += not refused
            tally.refused += bool(refused)
            if refused:
                tally.kinds[refused] = tally.kinds.get(refused, 0) + 1
            assert took < SLOWEST, f"{name}: an input took {took:.1f} s"

        self._repeat(one, inputs)
        tally.grown = max(0, _peak() - before)
        assert tally.grown < MOST_MEMORY, f"{name}: memory grew by {tally.grown >> 20} MB"
        return tally

    def _repeat(self, one: Callable[[Any], None], inputs: SearchStrategy[Any]) -> None:
        examples = ROUND if self._share else EXAMPLES
        phases = [Phase.explicit, Phase.generate, Phase.shrink]
        quiet = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )
        end = time.monotonic() + self._share
        while True:
            quiet(given(inputs)(one))()
            if time.monotonic() >= end:
                return


@pytest.fixture
def fuzzer(request: pytest.FixtureRequest) -> Fuzzer:
    """Return what gives inputs, for this test's share of the time."""
    names = [getattr(item, "fixturenames", ()) for item in request.session.items]
    return Fuzzer(SECONDS / max(1, sum("fuzzer" in one for one in names)))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the counts of a long run at its end."""
    if not SECONDS or not TALLIES:
        return
    write = terminalreporter.write_line
    write(f"{'target':<24}{'inputs':>9}{'taken':>9}{'refused':>9}{'slowest':>10}{'memory':>9}")
    for one in TALLIES:
        numbers = f"{one.inputs:>9}{one.taken:>9}{one.refused:>9}{one.slowest * 1000:>7.0f} ms"
        write(f"{one.name:<24}{numbers}{one.grown >> 20:>6} MB")
    write(f"{'all':<24}{sum(one.inputs for one in TALLIES):>9}")
