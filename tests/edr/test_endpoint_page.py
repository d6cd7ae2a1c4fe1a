from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from deodar.edr import endpoint_page
from deodar.edr.endpoint import Endpoint


@pytest.fixture
def endpoint() -> Endpoint:
    texts = dict.fromkeys(Endpoint.__struct_fields__, "")
    numbers = {"enrolled_us": 1, "last_contact_us": 0, "policy_version": 7}
    return Endpoint(
        **{
            **texts,
            **numbers,
            "agent_id": "a-1",
            "name": "web\x1b[31m",
            "synchronized_us": 3_500_000,
        }
    )


def shown(endpoint: Endpoint, report: dict[str, Any]) -> list[str]:
    page = endpoint_page.page(endpoint, json.dumps(report))
    return endpoint_page.text(page).splitlines()


def test_an_endpoint_without_a_report_says_so(endpoint):
    page = endpoint_page.page(endpoint, "")
    assert page.report is None
    assert "has not synchronized" in endpoint_page.text(page)
    assert json.loads(msgspec.json.encode(page))["endpoint"]["agent_id"] == "a-1"


def test_tasks_status_and_losses_are_listed(endpoint):
    lines = shown(
        endpoint,
        {
            "time_us": 1_000_000,
            "tasks": [{"name": "KATAEDR", "state": "Started", "error": ""}],
            "status": {
                "spool": {"events": 3, "oldest": None},
                "losses": [{"stage": "throttle", "events": 7}],
                "sensor": {"tiers": [{"name": "ebpf", "why": {"not": "used"}}]},
            },
        },
    )
    assert "policy version:         7" in lines
    assert "last contact:           never" in lines
    assert "clock behind:           2.5 s" in lines
    assert "  - name=KATAEDR, state=Started, error=-" in lines
    assert "  spool: events=3, oldest=null" in lines
    assert "    - stage=throttle, events=7" in lines
    assert "why: not=used" in [line.strip() for line in lines]


def test_what_a_terminal_would_act_on_is_not_shown(endpoint):
    text = "\n".join(shown(endpoint, {"status": {"\x1b[2J": "\x07", "a": ["\x1b"]}}))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_what_is_nested_deeply_is_shown_as_json(endpoint):
    value: Any = 1
    for _ in range(300):
        value = {"a": value}
    assert max(map(len, shown(endpoint, {"status": value}))) > 1000
