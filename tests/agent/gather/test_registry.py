from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.gather.chain import Gatherers
from deodar.agent.gather.registry import GATHERERS, gatherers

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.settings import AgentSettings


def test_all_gatherers_get_along(context: Context, settings: AgentSettings) -> None:
    made = gatherers(context, settings)
    assert len(made) == len(GATHERERS)
    chain = Gatherers(made)  # it refuses two that take the same
    assert chain.waiting == 0
    assert chain.due(0.0, last=True) == []
