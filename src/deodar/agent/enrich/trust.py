"""Which records come from trusted programs: the exclusions, asked with the table of processes.

Trust is found out when a process is made or runs another program, and kept with the process: later
its parent may be gone, or run something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.enrich.context import text
from deodar.agent.enrich.registry import follow
from deodar.agent.exclusions import Trust
from deodar.agent.sensors.base import Act, Exec, Exit, Fork

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.processes import Process
    from deodar.agent.exclusions import Exclusions
    from deodar.agent.sensors.base import Record

GENERATIONS = 256
"""How far up the parents of a process are looked for a trusted one."""


class TrustKeeper:
    """Tells the records of trusted programs from the rest. Used by the thread of its context."""

    def __init__(self, context: Context, exclusions: Exclusions) -> None:
        """Ask `exclusions` from now on; what earlier ones said of the processes is forgotten."""
        self._context = context
        self._exclusions = exclusions
        context.processes.forget_trust()

    def excludes(self, record: Record) -> bool:
        """Return whether a record is left out; then it has been noted in the table already.

        For one that is not, `note` is to be called when it is in the table.
        """
        processes = self._context.processes
        if isinstance(record, Exec):
            return self._starts(record)
        if isinstance(record, Fork):
            parent = processes.find(record.parent)
            is_trusted = parent is not None and self.of(parent) > Trust.NONE
        elif isinstance(record, Exit):
            process = processes.get(record.key)
            is_trusted = process is not None and self.of(process) > Trust.NONE
        elif isinstance(record, Act):
            process = processes.find(record.key)
            is_trusted = process is not None and self.of(process) > Trust.NONE
        else:
            is_trusted = False
        if is_trusted:
            follow(self._context, record)
            self.note(record)
        return is_trusted

    def note(self, record: Record) -> None:
        """Find out now how far a process that is new in the table is trusted."""
        if isinstance(record, Fork):
            child = self._context.processes.get(record.child)
            if child is not None:
                self.of(child)
        elif isinstance(record, Exec):
            process = self._context.processes.get(record.key)
            if process is not None and process.trust is None:  # `excludes` found none
                process.trust = Trust.NONE

    def of(self, process: Process) -> int:
        """Return how far a process is trusted: by its program, or by where it comes from."""
        family: list[Process] = []
        one: Process | None = process
        while one is not None and one.trust is None and len(family) < GENERATIONS:
            family.append(one)
            one = self._context.processes.get(one.parent)
        above = one.trust if one is not None and one.trust is not None else Trust.NONE
        for member in reversed(family):
            above = Trust.FAMILY if above == Trust.FAMILY else self._by_program(member)
            member.trust = above
        return above

    def _starts(self, record: Exec) -> bool:
        trust = self._inherited(record)
        if trust < Trust.FAMILY:
            trust = Trust.NONE
            if not record.deleted:
                trust = self._exclusions.of_program(text(record.exe))
            if trust == Trust.NONE:
                return False
            process = self._context.started(record, look_up=False)
            if process.container_id:
                process.trust = Trust.NONE
                return False
        else:
            process = self._context.started(record, look_up=False)
        process.trust = trust
        return True

    def _inherited(self, record: Exec) -> int:
        """Return the trust of the process before it ran this program, or that of its parent."""
        processes = self._context.processes
        before = processes.get(record.key) or processes.find(record.parent)
        return self.of(before) if before is not None else Trust.NONE

    def _by_program(self, process: Process) -> Trust:
        if process.container_id:
            return Trust.NONE
        return self._exclusions.of_program(process.image.exe)
