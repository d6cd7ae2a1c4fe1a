"""From the first administrator on the host to a script's token, by the commands and curl alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from deodar.demo.stack import DEODAR

from .edr_process import EdrProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "long enough for anybody"
pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EdrProcess]:
    made = EdrProcess(tmp_path / "edr", tmp_path).start()
    yield made
    if made.child.alive:
        made.child.kill()


def deodar(server: EdrProcess, *words: str, stdin: str = "") -> str:
    command = [*DEODAR, "edr", *words, "--dir", str(server.folder)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Curl:
    """A browser, as far as curl is one: it keeps cookies in a file."""

    def __init__(self, server: EdrProcess) -> None:
        self._server = server
        self.jar = server.logs / "cookies"

    def __call__(self, method: str, path: str, body: Any = None, *headers: str) -> tuple[int, Any]:
        words = [
            "curl",
            "-sS",
            "-X",
            method,
            "--cacert",
            str(self._server.folder / "authority.pem"),
        ]
        words += ["-b", str(self.jar), "-c", str(self.jar), "-w", "\n%{http_code}"]
        for header in headers:
            words += ["-H", header]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(
            [*words, f"{self._server.url}/api/v1{path}"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(text) if text else None


def test_what_commands_do_holds_at_once_in_the_running_server(server):
    words = ("user", "add", "root", "--role", "administrator", "--password-stdin")
    deodar(server, *words, stdin=f"{PASSWORD}\n")
    curl = Curl(server)
    assert curl("GET", "/users")[0] == 401
    status, told = curl("POST", "/session", {"name": "root", "password": PASSWORD})
    assert status == 200
    csrf = f"X-CSRF-Token: {told['csrf_token']}"
    new = {"name": "operator", "role": "auditor", "password": PASSWORD}
    assert curl("POST", "/users", new)[0] == 403
    assert curl("POST", "/users", new, csrf)[0] == 201
    wish = {"name": "report", "role": "auditor", "days": 1}
    _, made = curl("POST", "/tokens", wish, csrf)
    shown = f"Authorization: Bearer {made['secret']}"
    script = Curl(server)
    script.jar = server.logs / "none"
    assert script("GET", "/endpoints", None, shown) == (200, {"items": [], "next": None})
    assert script("GET", "/users", None, shown)[0] == 403
    deodar(server, "token", "revoke", made["token"]["id"])
    assert script("GET", "/endpoints", None, shown)[0] == 401
    deodar(server, "user", "log-out", "root")
    assert curl("GET", "/session")[0] == 401
    entries = map(json.loads, deodar(server, "audit", "list", "--json").splitlines())
    told = [(one["action"], one["user"].split()[0], one["address"]) for one in entries]
    assert told == [
        ("user log-out", "uid", "local"),
        ("api-token revoke", "uid", "local"),
        ("api-token create", "root", "127.0.0.1"),
        ("user add", "root", "127.0.0.1"),
        ("login", "root", "127.0.0.1"),
        ("user add", "uid", "local"),
    ]
    assert "6 entries are as they were written" in deodar(server, "audit", "verify")
