"""The gatherers that are in use; a new one is a module of this package, named here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.gather.console import Consoles
from deodar.agent.gather.dns import DnsQueries
from deodar.agent.gather.files import file_changes
from deodar.agent.gather.forks import Forks
from deodar.agent.gather.listens import Listens
from deodar.agent.gather.logons import logon_gatherer
from deodar.agent.gather.modules import module_gatherer
from deodar.agent.gather.scripts import Scripts
from deodar.agent.gather.service_runs import service_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.enrich.context import Context
    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.settings import AgentSettings

GATHERERS: tuple[Callable[[Context, AgentSettings], Gatherer], ...] = (
    Forks,
    file_changes,
    logon_gatherer,
    module_gatherer,
    lambda context, _settings: Scripts(context),
    lambda context, _settings: Consoles(context),
    lambda _context, _settings: DnsQueries(),
    lambda _context, _settings: Listens(),
    service_runs,
)


def gatherers(context: Context, settings: AgentSettings) -> list[Gatherer]:
    """Return one of each."""
    return [make(context, settings) for make in GATHERERS]
