from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from tests.agent.small_agent import command, serving

from deodar.kit.directory import StateDirectory
from deodar.tls.certificates import Pair, issue_client, make_authority, make_request

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return StateDirectory.create(tmp_path / "agent").path


@pytest.fixture(scope="module")
def client() -> Pair:
    request, key = make_request("agent")
    return Pair(issue_client(make_authority("a"), request, "agent"), key)


@pytest.fixture
def container(tmp_path: Path, client: Pair) -> Path:
    key: Any = serialization.load_pem_private_key(client.key, None)
    own = x509.load_pem_x509_certificate(client.certificate)
    lock = serialization.BestAvailableEncryption(b"secret")
    path = tmp_path / "client.pfx"
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"a", key, own, None, lock))
    path.chmod(0o600)
    return path


def file(folder: Path, data: bytes) -> Path:
    path = folder / "given"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_server_certificate_is_added_shown_and_removed(folder: Path, tmp_path: Path) -> None:
    path = file(tmp_path, make_authority("edr").certificate)
    with serving(StateDirectory(folder)) as agent:
        added = command(folder, "certificate", "server", "add", path)
        assert "Kind:        the server's authority\nSubject:     CN=edr\n" in added.output
        assert "days left)" in added.output
        assert agent.certificates.has("server")
        assert command(folder, "certificate", "server", "show").output == added.output
        shown = json.loads(command(folder, "certificate", "server", "show", "--json").output)
        assert shown["is_authority"] is True
        removed = command(folder, "certificate", "server", "remove")
        assert removed.output == "the server certificate was removed\n"
    for verb in ("show", "remove"):
        result = command(folder, "certificate", "server", verb)
        assert getattr(result.exception, "exit_code", 0) == 65
        assert "certificate server add FILE" in str(result.exception)


def test_certificate_that_was_put_there_by_hand_is_shown(folder: Path) -> None:
    (folder / "server.crt").write_bytes(make_authority("by hand").certificate)
    assert "Subject:     CN=by hand\n" in command(folder, "certificate", "server", "show").output
    (folder / "server.crt").write_bytes(b"damaged")
    assert "Subject:     not known\n" in command(folder, "certificate", "server", "show").output


def test_client_certificate_is_added_without_a_running_agent(
    folder: Path, tmp_path: Path, container: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    done = command(
        folder, "certificate", "client", "add", container, "--password-file", password, "--json"
    )
    assert json.loads(done.output)["subject"] == "CN=agent"
    done = command(folder, "certificate", "client", "remove", "--json")
    assert json.loads(done.output) == {"removed": "client"}
    password.write_text("wrong")
    result = command(folder, "certificate", "client", "add", container, "--password-file", password)
    assert "not the password" in str(result.exception)
    result = command(folder, "certificate", "client", "add", container)
    assert "protected by a password" in str(result.exception)
    assert "--password-file FILE" in str(result.exception)
    result = command(
        folder, "certificate", "client", "add", container, "--password-file", tmp_path / "no"
    )
    assert "cannot read the password" in str(result.exception)


def test_near_end_is_warned_of(folder: Path, tmp_path: Path) -> None:
    path = file(tmp_path, make_authority("edr", days=9).certificate)
    result = command(folder, "certificate", "server", "add", path)
    assert result.exit_code == 0
    assert "warning: it expires in 9 days" in result.stderr


def test_certificate_that_others_may_write_is_refused(folder: Path, tmp_path: Path) -> None:
    path = file(tmp_path, make_authority("edr").certificate)
    path.chmod(0o666)
    result = command(folder, "certificate", "server", "add", path)
    assert getattr(result.exception, "exit_code", 0) == 76


@pytest.mark.parametrize(("answers", "code"), [(["no", "secret"], 0), (["a", "b", "c"], 65)])
def test_password_is_asked_on_the_terminal(
    folder: Path, container: Path, answers: list[str], code: int
) -> None:
    ours, theirs = pty.openpty()
    words = ["certificate", "client", "add", str(container), "--dir", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "deodar", "agent", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 60
    for number, answer in enumerate(answers, 1):
        while seen.count(b"Password of the certificate: ") < number:
            assert time.monotonic() < deadline
            seen += os.read(ours, 4096)
        os.write(ours, answer.encode() + b"\n")
    assert process.wait(60) == code
    os.close(ours)
    assert b"secret" not in seen
