from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.certificates import Certificates
from deodar.agent.enroll import Token, enroll, read_token
from deodar.agent.enrolled import SETTINGS, load
from deodar.agent.errors import EnrolmentError, TokenError
from deodar.agent.tasks.store import SettingsStore
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import StateError
from deodar.tasks.policy import Policy
from deodar.tls.certificates import check_issued, der, fingerprint, make_authority, subject_name

if TYPE_CHECKING:
    from pathlib import Path


def token_text(url: str = "https://h:1", pin: str = "ab", secret: str = "s") -> str:
    data = json.dumps({"url": url, "pin": pin, "secret": secret}).encode()
    return "deodar-enroll:v1:" + base64.urlsafe_b64encode(data).decode()


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


def test_token_says_where_who_and_the_secret() -> None:
    assert read_token(token_text()) == Token("https://h:1", "ab", "s")


@pytest.mark.parametrize(
    "change", [str.strip, lambda t: t.rstrip("="), lambda t: f" {t[:9]}\n{t[9:]} "]
)
def test_token_survives_being_copied(change: Any) -> None:
    assert read_token(change(token_text())).secret == "s"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        token_text()[:-9],
        token_text()[7:],
        "deodar-enroll:v1:",
        "deodar-enroll:v1:é",
        "deodar-enroll:v2:" + token_text()[17:],
        "deodar-enroll:v1:e30=",
    ],
)
def test_damaged_token_is_refused_with_advice(text: str) -> None:
    with pytest.raises(TokenError, match=r"copy it again|deodar edr enroll"):
        read_token(text)


def test_enrolled_agent_has_all_that_it_needs(directory: StateDirectory, server: Any) -> None:
    server.secrets.add("s3cret")
    settings = enroll(directory, Token(server.url, server.pin, "s3cret"))
    assert settings.agent_id == "agent-7"
    assert load(directory) == settings
    certificate = directory.read("client.crt")
    assert subject_name(certificate) == "agent-7"
    now = datetime.now(UTC)
    assert check_issued(der(certificate), server.authority.certificate, now) is None
    for name in (SETTINGS, "client.crt", "client.key", "server.crt", "settings/KATAEDR.ini"):
        assert stat.S_IMODE((directory.path / name).stat().st_mode) == 0o600
    certificates = Certificates(directory)
    assert [facts.kind for facts in certificates.known()] == ["server", "client"]
    assert certificates.problems(now.timestamp()) == []
    assert certificates.context(use_client=True)
    task = SettingsStore(directory).kataedr
    assert task.use_client_pinned_certificate
    assert [(one.address, one.port) for one in task.endpoints] == [server.address]


def test_new_enrolment_keeps_tuning_and_settings_but_no_policy(
    directory: StateDirectory, server: Any
) -> None:
    server.secrets |= {"a", "b"}
    enroll(directory, Token(server.url, server.pin, "a"))
    text = directory.read(SETTINGS).decode() + '\n[control]\ngroup = "edr"\n'
    tuned = text.replace('[control]\ngroup = ""\n', "")
    directory.write_secret(SETTINGS, tuned.encode())
    store = SettingsStore(directory)
    store.change("KATAEDR", {"SynchronizationPeriod": 7})
    held = {"KATAEDR": {"Endpoints": [{"Address": "old", "Port": 1}]}}
    store.apply_policy(Policy(version=1, settings=held))
    assert enroll(directory, Token(server.url, server.pin, "b"), force=True).control.group == "edr"
    found = SettingsStore(directory)
    assert found.policy is None
    assert found.kataedr.synchronization_period == 7
    assert (found.kataedr.endpoints[0].address, found.kataedr.endpoints[0].port) == server.address


def test_damaged_tuning_does_not_hinder_a_new_enrolment(
    directory: StateDirectory, server: Any
) -> None:
    server.secrets.add("a")
    directory.write_secret(SETTINGS, b"nonsense = ")
    assert enroll(directory, Token(server.url, server.pin, "a"), force=True).agent_id == "agent-7"


def test_running_agent_is_not_enrolled_anew(directory: StateDirectory, server: Any) -> None:
    server.secrets.add("a")
    with directory.lock(), pytest.raises(StateError, match="in use"):
        enroll(directory, Token(server.url, server.pin, "a"), force=True)
    assert "a" in server.secrets


def test_used_token_is_refused_and_leaves_nothing(directory: StateDirectory, server: Any) -> None:
    with pytest.raises(EnrolmentError, match="unknown, used or outdated"):
        enroll(directory, Token(server.url, server.pin, "used"))
    assert {path.name for path in directory.path.iterdir()} <= {"lock"}


def test_second_enrolment_needs_force(directory: StateDirectory, server: Any) -> None:
    server.secrets |= {"a", "b"}
    enroll(directory, Token(server.url, server.pin, "a"))
    before = directory.read("client.key")
    with pytest.raises(EnrolmentError, match="--force"):
        enroll(directory, Token(server.url, server.pin, "b"))
    assert "b" in server.secrets
    enroll(directory, Token(server.url, server.pin, "b"), force=True)
    assert directory.read("client.key") != before


def test_another_server_never_learns_the_secret(directory: StateDirectory, server: Any) -> None:
    server.secrets.add("s3cret")
    pin = fingerprint(make_authority("another").certificate)
    with pytest.raises(EnrolmentError, match="cannot enrol"):
        enroll(directory, Token(server.url, pin, "s3cret"))
    assert "s3cret" in server.secrets


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "ftp://127.0.0.1", "nonsense", "https://h:x/", ""]
)
def test_server_that_cannot_be_reached_is_named(directory: StateDirectory, url: str) -> None:
    with pytest.raises(EnrolmentError, match="cannot enrol"):
        enroll(directory, Token(url, "0" * 64, "s"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"agent_id": 5}', b"\xff"])
def test_answer_that_is_no_enrolment_is_told(directory: StateDirectory, body: bytes) -> None:
    import httpx

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    with pytest.raises(EnrolmentError, match="no enrolment"):
        enroll(directory, Token("https://h", "0" * 64, "s"), transport=transport)
    assert not directory.has(SETTINGS)


def test_other_authority_than_the_tokens_is_refused(directory: StateDirectory, server: Any) -> None:
    import httpx

    other = make_authority("other").certificate.decode()
    for authority in (other, "", "nonsense"):
        answer = {"agent_id": "a", "certificate": "c", "authority": authority}
        transport = httpx.MockTransport(lambda _request, a=answer: httpx.Response(200, json=a))
        with pytest.raises(EnrolmentError, match="another authority"):
            enroll(directory, Token("https://h", server.pin, "s"), transport=transport)
    assert not directory.has(SETTINGS)
