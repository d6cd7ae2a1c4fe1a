"""What came of a run: by kernel, which sensors loaded and how the tests ended.

`Account` puts it together from what the guest tells, step by step; it does no input or output, so
that a guest that hangs or dies half-way can be tested without one.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec


class Host(msgspec.Struct, frozen=True):
    """The kernel as the guest saw it."""

    release: str
    version: str
    lsms: str
    """Active security modules, as in /sys/kernel/security/lsm."""
    btf: bool


class Tier(msgspec.Struct, frozen=True):
    """A part of the BPF sensor, another sensor, or an ability, and whether it works here."""

    name: str
    works: bool
    said: str = ""
    """Why it does not."""


class Told(msgspec.Struct, frozen=True):
    """A test that did not pass, and what it said: its failure or why it skips."""

    test: str
    said: str


class Run(msgspec.Struct, frozen=True):
    """One kernel's account."""

    day: str
    """Date of the run, ISO 8601."""
    revision: str
    """The tree's commit; with a plus when files differed from it."""
    seconds: int = 0
    host: Host | None = None
    """None when the guest never came so far."""
    tiers: list[Tier] = []
    abilities: list[Tier] = []
    """What the kernel offers beside what the sensors use."""
    passed: int = 0
    failed: list[Told] = []
    skipped: list[Told] = []
    complaints: list[str] = []
    """Lines of the kernel's log that speak of a fault of its own."""
    trouble: str = ""
    """Why the run did not come to its end."""

    @property
    def good(self) -> bool:
        """Whether it ended, something passed, nothing failed and the kernel has no complaint."""
        return not (self.trouble or self.failed or self.complaints) and self.passed > 0


Kept = dict[str, Run]
"""Runs by the name of their kernel."""


class Account:
    """Collects one run."""

    def __init__(self, day: str, revision: str) -> None:
        self._begun = Run(day, revision)
        self._outcomes: dict[str, tuple[str, str]] = {}
        self._steps: dict[str, dict[str, Any]] = {}
        self._tried: dict[str, list[Tier]] = {"tier": [], "ability": []}
        self._running = ""

    def take(self, told: dict[str, Any]) -> None:
        """Take one step that the guest told."""
        step = told.pop("step")
        if step == "start":
            self._running = told["test"]
        elif step == "test":
            self._take_outcome(**told)
        elif step in self._tried:
            self._tried[step].append(msgspec.convert(told, Tier))
        else:
            self._steps[step] = told

    def _take_outcome(self, test: str, outcome: str, said: str) -> None:
        """Note how a phase of a test ended; the worst of its phases counts."""
        before = self._outcomes.get(test, ("", ""))
        if before[0] != "failed":
            self._outcomes[test] = (outcome, said)
        self._running = ""

    @property
    def ended(self) -> bool:
        """Whether the guest told that it is through."""
        return "end" in self._steps

    def run(self, seconds: float, trouble: str = "") -> Run:
        """Return the account so far; `trouble` says why the guest did not tell more."""
        host, end = self._steps.get("host"), self._steps.get("end", {})
        return msgspec.structs.replace(
            self._begun,
            seconds=round(seconds),
            host=msgspec.convert(host, Host) if host else None,
            tiers=self._tried["tier"],
            abilities=self._tried["ability"],
            passed=sum(outcome == "passed" for outcome, _ in self._outcomes.values()),
            failed=self._which("failed"),
            skipped=self._which("skipped"),
            complaints=end.get("complaints", []),
            trouble=" ".join(filter(None, (trouble or end.get("trouble", ""), self._where()))),
        )

    def _which(self, wanted: str) -> list[Told]:
        every = self._outcomes.items()
        return [Told(test, said) for test, (outcome, said) in every if outcome == wanted]

    def _where(self) -> str:
        return f"(during {self._running})" if self._running else ""


def reason(said: str) -> str:
    """Return why a test skips, as it wrote it, without the file and line before it."""
    return re.sub(r"^(.*:\d+: )?(Skipped: )?", "", said)
