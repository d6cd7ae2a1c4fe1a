"""Trusted programs: whose events are left out, by the setting TrustedPrograms.

A mask is matched against the path of the program's file as the kernel names it: of a script, that
of its interpreter. By its path a program is trusted only outside of containers, since a container
has its own files under the same names, and only if its file has a name at all. With
ApplyToDescendants the processes that it starts are trusted too, whatever they run, and theirs;
wherever they run.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from deodar.tasks.masks import compile_mask

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from deodar.tasks.settings import BehaviorDetectionSettings, TrustedProgram

REMEMBERED = 2048
MDR_IS_ON = "not applied: MDR integration is on"


class Trust(IntEnum):
    """How far a process is trusted."""

    NONE = 0
    PROGRAM = 1
    """It runs a trusted program."""
    FAMILY = 2
    """So are the processes that it starts."""


class Exclusions:
    """The trusted programs, ready to be asked."""

    def __init__(self, programs: Sequence[TrustedProgram]) -> None:
        """Compile the masks; raises InvalidSetting for one that is no mask."""
        self._paths: dict[str, Trust] = {}
        self._masks: list[tuple[re.Pattern[str], Trust]] = []
        for program in programs:
            trust = Trust.FAMILY if program.apply_to_descendants else Trust.PROGRAM
            if "*" in program.program_path or "?" in program.program_path:
                self._masks.append((compile_mask(program.program_path), trust))
            else:
                path = program.program_path
                self._paths[path] = max(trust, self._paths.get(path, trust))
        self.of_program = lru_cache(REMEMBERED)(self._of_program)
        """Return how far a program is trusted, by the path of its file."""

    def _of_program(self, path: str) -> Trust:
        found = self._paths.get(path, Trust.NONE)
        for mask, trust in self._masks:
            if trust > found and mask.match(path):
                found = trust
        return found


def compile_exclusions(behavior: BehaviorDetectionSettings, *, use_mdr: bool) -> Exclusions | None:
    """Return the exclusions in force; None when there are none."""
    programs = _in_use(behavior)
    return Exclusions(programs) if programs and not use_mdr else None


def describe(behavior: BehaviorDetectionSettings, *, use_mdr: bool) -> list[str]:
    """Return the exclusions in force for the status, one text each, or why they are not in force.

    Empty when none are wanted.
    """
    programs = _in_use(behavior)
    if programs and use_mdr:
        return [MDR_IS_ON]
    return [_text(program) for program in programs]


def _in_use(behavior: BehaviorDetectionSettings) -> list[TrustedProgram]:
    if not behavior.use_trusted_programs:
        return []
    return [program for program in behavior.trusted_programs if program.use_trusted_program]


def _text(program: TrustedProgram) -> str:
    family = " and its descendants" if program.apply_to_descendants else ""
    note = f" ({program.program_desc})" if program.program_desc else ""
    return f"{program.program_path}{family}{note}"
