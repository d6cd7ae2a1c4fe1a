"""A real agent follows the policy of its group, and the server sees that it does."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.test_agent_to_edr import deodar, wait_for
from tests.e2e.test_renewal import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with contextlib.closing(Pair(tmp_path)) as made:
        yield made


def policy(pair: Pair, settings: dict[str, Any], *more: str) -> int:
    file = pair.folder / "policy.json"
    file.write_text(json.dumps(settings))
    words = ["edr", "policy", "set", file, "--dir", pair.edr, "--json", *more]
    return json.loads(deodar(*words))["version"]


def test_an_agent_follows_its_groups_policy_over_the_default_one(pair: Pair) -> None:
    deodar("edr", "group", "add", "servers", "--dir", pair.edr)
    agent_id = pair.endpoint["agent_id"]
    deodar("edr", "endpoints", "move", agent_id, "servers", "--dir", pair.edr)
    policy(pair, {"KATAEDR": {"RequestTimeout": 7, "ConnectionTimeout": 8}})
    version = policy(pair, {"KATAEDR": {"RequestTimeout": 9}}, "--group", "servers")
    assert pair.endpoint["presence"] == "never"
    pair.start()

    def follows() -> dict[str, Any] | None:
        found = pair.endpoint
        return found if found["policy_version"] == version else None

    told = wait_for(follows, 60)
    assert (told["presence"], told["drifts"], told["wanted_policy"]) == ("online", False, version)
    shown = deodar("agent", "policy", "--json", "--dir", pair.agent)
    held = json.loads(shown)
    assert (held["name"], held["version"]) == ("servers", version)
    assert held["settings"] == {"KATAEDR": {"RequestTimeout": 9.0, "ConnectionTimeout": 8.0}}
