"""The management API against its own OpenAPI document, by Schemathesis, at a running server.

Requests that fit the document and requests that break it, in some seconds; with
``DEODAR_FUZZ_SECONDS`` for as long as that says (``make fuzz``). No answer may be a mistake of the
server, have a code, a header or a form that the document does not have, let in who shows nothing,
or take what the document forbids. Left out is one check of Schemathesis: that whatever fits the
document is taken. A cursor, a duration and a policy have rules that a schema cannot say.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import tomli_w

from deodar.edr.enrolment_tokens import EnrolmentTokens
from deodar.edr.policies import Policies
from deodar.edr.users.accounts import Users
from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.roles import Role

from .edr_process import EdrProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = round(float(os.environ.get("DEODAR_FUZZ_SECONDS", "0")))
PASSWORD = "long enough for anybody"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EdrProcess]:
    made = EdrProcess(tmp_path / "edr", tmp_path).start()
    yield made
    if made.child.alive:
        made.child.kill()


def furnished(server: EdrProcess) -> tuple[str, list[str]]:
    """Put something into each list; returns an administrator's secret, and names in the lists."""
    agent = server.agent()
    agent.bodies[1] = b"no event"
    agent.send(1)
    reader = server.reader()
    with contextlib.closing(server.installation.database()) as database:
        Users(database).add("fuzz", Role.ADMINISTRATOR, PASSWORD)
        Users(database).add("operator", Role.AUDITOR, PASSWORD)
        tokens = ApiTokens(database)
        secret = tokens.make("fuzz", "x", Role.ADMINISTRATOR, 1).secret
        other = tokens.make("operator", "x", Role.AUDITOR, 1).token
        Policies(database).set({"KATAEDR": {"RequestTimeout": 5}})
        (invitation,) = EnrolmentTokens(database).list()
    return secret, ["operator", reader.id, "h", "1-0", "1", other.id, invitation.id]


def configured(names: list[str], folder: Path) -> None:
    """Let half of all paths name what is there."""
    bound = {"dictionary": "there", "probability": 0.5}
    kinds = ("name", "agent", "letter", "token")
    configuration = {
        "dictionaries": {"there": {"values": names}},
        "parameters": {f"path.{kind}": bound for kind in kinds},
    }
    (folder / "schemathesis.toml").write_text(tomli_w.dumps(configuration))


def schemathesis(server: EdrProcess, secret: str, folder: Path) -> subprocess.CompletedProcess:
    amount = ("--max-time", str(LONG)) if LONG else ("--max-examples", "3", "--seed", "1")
    words = [
        *("-m", "schemathesis.cli", "--no-color", "run", f"{server.url}/api/v1/openapi.json"),
        *("--tls-verify", str(server.folder / "authority.pem")),
        *("--header", f"Authorization: Bearer {secret}"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--continue-on-failure", "--warnings", "off", "--seed", "5", *amount),
        *("--report", "json", "--report-json-path", "report.json"),
    ]
    limit = LONG * 2 + 240
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=limit
    )


def taken(rates: dict[str, dict[str, int]]) -> bool:
    """Whether a request for an operation was a success."""
    return any(phase["accepted"] for phase in rates.values())


@pytest.mark.slow
@pytest.mark.timeout(LONG * 2 + 260)
def test_the_api_is_as_it_is_documented(server, tmp_path, capsys):
    secret, names = furnished(server)
    configured(names, tmp_path)
    done = schemathesis(server, secret, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    count, operations = report["test_cases"]["generated"], report["operations"]
    with capsys.disabled():
        print(f"\nmanagement API: {count} requests, {operations['tested']} operations, no failure")
    assert operations["tested"] == operations["total"]
    assert count > 500
    accepted = [name for name, rates in report["valid_rates"].items() if taken(rates)]
    assert len(accepted) > operations["total"] / 3, accepted
    assert '"level": "error"' not in server.log
    with server.client() as client:  # the run was not shut out on its way
        shown = client.get("/api/v1/session", headers={"Authorization": f"Bearer {secret}"})
    assert shown.status_code == 200
    assert server.child.alive
