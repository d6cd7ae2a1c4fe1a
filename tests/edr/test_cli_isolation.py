from __future__ import annotations

import contextlib
import json

import pytest

from deodar.edr.database import now_us
from deodar.edr.errors import EdrError, FeedProblem, NotKnown
from deodar.edr.tables import endpoints
from deodar.edr.tasking.states import States
from deodar.response.errors import OrderProblem
from deodar.response.wire import Applied

from .commands import run, told


@pytest.fixture
def folder(installation) -> str:
    return str(installation.directory.path)


@pytest.fixture
def states(installation):
    with contextlib.closing(installation.database()) as database:
        with database.write() as connection:
            row = {"agent_id": "agent-1", "digest": "d", "state": "enrolled", "name": "web-1"}
            connection.execute(endpoints.insert().values(**row, enrolled_us=now_us()))
        yield States(database)


def test_a_host_is_isolated_and_released(folder, states, tmp_path):
    shown = run("isolate", "web-1", "--dir", folder)
    assert shown.startswith("network_isolation of agent-1: active until 2")
    assert states.get("agent-1", "network_isolation").settings == {"autoTurnoffTimeoutInSec": 28800}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"remoteIpv4Address": "192.0.2.1"}]))
    words = ("--hours", 0, "--exclusions", rules)
    (made,) = told("isolate", "web-1", "--dir", folder, *words)
    assert made["settings"] == {"excludedRules": [{"remoteIpv4Address": "192.0.2.1"}]}
    assert made["ends_us"] == 0
    assert "ended" in run("release", "web-1", "--dir", folder)
    assert states.get("agent-1", "network_isolation") is None


def test_what_an_endpoint_says_is_shown(folder, states):
    assert "Nothing is wanted" in run("prevention", "show", "web-1", "--dir", folder)
    run("isolate", "web-1", "--dir", folder)
    states.note("agent-1", Applied("network_isolation", 1, "unsupported", "not here"))
    shown = run("prevention", "show", "web-1", "--dir", folder)
    assert "network_isolation (endpoint) 1: unsupported not here" in shown
    (both,) = told("prevention", "show", "web-1", "--dir", folder)
    assert [len(both[name]) for name in ("wanted", "applied")] == [1, 1]


def test_a_list_of_hashes_is_prevention(folder, states, tmp_path):
    listed = tmp_path / "bad"
    listed.write_text(f"# bad ones\n{'a' * 32}\n{'B' * 64},untrusted,x.sh\n")
    (made,) = told("prevention", "set", "all", listed, "--dir", folder)
    assert made["settings"]["objects"] == [
        {"file": {"md5": "a" * 32}},
        {"file": {"sha256": "b" * 64, "name": "x.sh"}},
    ]
    assert "ended" in run("prevention", "clear", "all", "--dir", folder)
    assert states.wanted() == []


def test_what_cannot_be_wanted_is_told(folder, states, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("odd")
    for error, words in (
        (NotKnown, ("isolate", "nobody")),
        (OrderProblem, ("isolate", "all")),
        (EdrError, ("isolate", "web-1", "--exclusions", tmp_path / "missing")),
        (EdrError, ("isolate", "web-1", "--exclusions", bad)),
        (FeedProblem, ("prevention", "set", "all", bad)),
        (EdrError, ("prevention", "set", "all", tmp_path / "missing")),
    ):
        with pytest.raises(error):
            run(*words, "--dir", folder)
    bad.write_text('[{"direction": "up"}]')
    with pytest.raises(OrderProblem, match="direction"):
        run("isolate", "web-1", "--exclusions", bad, "--dir", folder)
    run("isolate", "web-1", "--hours", 10_000, "--dir", folder, code=2)
