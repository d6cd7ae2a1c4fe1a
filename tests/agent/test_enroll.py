from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enroll import Token, enroll, read_token
from deodar.agent.enrolled import AUTHORITY, CERTIFICATE, KEY, SETTINGS, load
from deodar.agent.errors import EnrolmentError, TokenError
from deodar.kit.directory import StateDirectory
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
    loaded = load(directory)
    assert loaded == settings
    assert loaded.server.pins == [server.pin]
    certificate = directory.read(CERTIFICATE)
    assert subject_name(certificate) == "agent-7"
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    assert check_issued(der(certificate), server.authority.certificate, now) is None
    for name in (SETTINGS, CERTIFICATE, KEY, AUTHORITY):
        assert stat.S_IMODE((directory.path / name).stat().st_mode) == 0o600


def test_used_token_is_refused_and_leaves_nothing(directory: StateDirectory, server: Any) -> None:
    with pytest.raises(EnrolmentError, match="unknown, used or outdated"):
        enroll(directory, Token(server.url, server.pin, "used"))
    assert list(directory.path.iterdir()) == []


def test_second_enrolment_needs_force(directory: StateDirectory, server: Any) -> None:
    server.secrets |= {"a", "b"}
    enroll(directory, Token(server.url, server.pin, "a"))
    before = directory.read(KEY)
    with pytest.raises(EnrolmentError, match="--force"):
        enroll(directory, Token(server.url, server.pin, "b"))
    assert "b" in server.secrets
    enroll(directory, Token(server.url, server.pin, "b"), force=True)
    assert directory.read(KEY) != before


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
