from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson

from deodar.agent.enrich.fields import parent_fields, process_fields
from deodar.agent.enrich.fragments import (
    NOTHING,
    fragment,
    of_actor,
    of_owner,
    of_parent,
    of_process,
)
from deodar.agent.enrich.hashes import FileFacts
from deodar.agent.enrich.proc import live_process
from deodar.agent.hashing.facts import Rest
from deodar.agent.sensors.base import Act, ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.fragments import Fragment
    from deodar.agent.enrich.processes import Process


def read(one: Fragment) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(b'{"x":0' + one.text + b"}")
    del found["x"]
    return found


def known(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, "")}


def own(context: Context) -> Process:
    live = live_process(os.getpid())
    assert live is not None
    found = context.processes.find(live.key)
    assert found is not None
    return found


def test_fields_become_text_and_what_is_not_known_is_left_out() -> None:
    assert read(fragment({"A": 1, "B": None, "C": "", "D": '"x', "E": 0})) == {
        "A": 1,
        "D": '"x',
        "E": 0,
    }
    assert fragment({"B": None}) == NOTHING


def test_a_process_and_its_parent_are_told_as_the_fields_say(context: Context) -> None:
    process = own(context)
    assert read(of_process(context, process)) == known(process_fields(context, process))
    context.processes.find(process.parent)
    assert read(of_parent(context, process)) == known(parent_fields(context, process))
    assert "ParentFileFullName" in of_parent(context, process).names
    assert {"FileFullName", "RealUid"} <= of_process(context, process).names


def test_they_are_made_once_and_again_when_the_file_is_better_known(
    context: Context, until: Callable[..., Any]
) -> None:
    process = own(context)
    until(lambda: (facts := context.facts(process)) and facts.rest is Rest.NOTHING, 60)
    first = of_process(context, process)
    assert of_process(context, process) is first
    process.image.facts = FileFacts(size=7, created_us=None, modified_us=8, file_type=8, md5="ab")
    second = of_process(context, process)
    assert read(second)["Md5"] == "ab"


def test_of_an_unknown_process_only_its_ids_are_told(context: Context) -> None:
    gone = ProcessKey(4_190_000, 90_000_000_000)
    told = read(of_owner(context, gone, None))
    assert told == {"SystemPid": gone.pid, "UniquePid": context.unique_pids.of(gone)}
    assert read(of_actor(context, Act(1, gone))) == told


def test_an_unknown_parent_is_told_by_its_ids(context: Context) -> None:
    process = own(context)
    process.parent = ProcessKey(4_190_001, 90_000_000_000)
    assert read(of_parent(context, process)).keys() == {"ParentSystemPid", "UniqueParentPid"}
