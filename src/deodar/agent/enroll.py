"""Enrolment: from a one-time token to an agent that its server knows.

The agent makes its own key, which never leaves the host, and gets a certificate for it. The server
is known by the fingerprint in the token, so that nothing has to be trusted on the way.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import httpx
import msgspec

from deodar import __version__
from deodar.agent.enrich import host
from deodar.agent.enrolled import AUTHORITY, CERTIFICATE, KEY, SETTINGS, fingerprint
from deodar.agent.errors import EnrolmentError, TokenError
from deodar.agent.settings import AgentSettings, ServerSettings
from deodar.kit import settings as toml
from deodar.tls.certificates import make_request
from deodar.tls.contexts import pinned_client

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

PREFIX = "deodar-enroll:v1:"
ENROLL = "/agent/v1/enroll"
TIMEOUT = 10.0


class Token(msgspec.Struct, frozen=True):
    """What an enrolment token says."""

    url: str
    pin: str
    secret: str


class _Enrolled(msgspec.Struct):
    agent_id: str
    certificate: str
    authority: str


def read_token(text: str) -> Token:
    """Return what the token's text says; raises TokenError for one that is cut or changed."""
    text = "".join(text.split())
    if not text.startswith(PREFIX):
        raise TokenError(
            f"this is no enrolment token: it has to begin with {PREFIX}; "
            "get one on the EDR server with: deodar edr enroll"
        )
    data = text.removeprefix(PREFIX)
    try:
        decoded = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
        return msgspec.json.decode(decoded, type=Token)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise TokenError(
            "the enrolment token is incomplete or was changed on the way; copy it again"
        ) from error


def enroll(
    directory: StateDirectory,
    token: Token,
    *,
    force: bool = False,
    transport: httpx.BaseTransport | None = None,
) -> AgentSettings:
    """Make this host's agent known to the server and store what it needs; returns its settings.

    Raises EnrolmentError when the server says no, cannot be reached or is another one, and when
    the folder holds an agent already (unless `force`); StateError when the folder cannot be
    written.
    """
    if directory.has(SETTINGS) and not force:
        raise EnrolmentError(
            f"{directory.path} holds an agent already; to enrol it anew, add --force"
        )
    request, key = make_request("deodar-agent")
    enrolled = _ask(token, request, transport)
    _check_authority(token, enrolled)
    known = AgentSettings(
        agent_id=enrolled.agent_id,
        server=ServerSettings(url=token.url.rstrip("/"), pins=[token.pin]),
    )
    directory.write_secret(KEY, key)
    directory.write_secret(CERTIFICATE, enrolled.certificate.encode())
    directory.write_secret(AUTHORITY, enrolled.authority.encode())
    text = toml.dump(known, comment="Settings of the agent; what the tables may hold: see the docs")
    directory.write_secret(SETTINGS, text.encode())  # last: it makes the agent an enrolled one
    return known


def _ask(token: Token, request: bytes, transport: httpx.BaseTransport | None) -> _Enrolled:
    facts = host.collect()
    body = {
        "token": token.secret,
        "request": request.decode(),
        "host": {
            "name": facts.name,
            "os_name": facts.os_name,
            "os_version": facts.os_version,
            "machine_id": facts.machine_id,
            "agent_version": __version__,
        },
    }
    tls = pinned_client([token.pin])
    try:
        with httpx.Client(
            verify=tls, timeout=TIMEOUT, trust_env=False, transport=transport
        ) as client:
            response = client.post(token.url.rstrip("/") + ENROLL, json=body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = str(error) or type(error).__name__
        raise EnrolmentError(f"cannot enrol at {token.url}: {reason}") from error
    return _enrolled(token, response)


def _enrolled(token: Token, response: httpx.Response) -> _Enrolled:
    if response.status_code != httpx.codes.OK:
        raise EnrolmentError(
            f"{token.url} refused the enrolment (HTTP {response.status_code}): {_reason(response)}"
        )
    try:
        return msgspec.json.decode(response.content, type=_Enrolled)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnrolmentError(
            f"{token.url} gave an answer that is no enrolment: {error}; is it a Deodar EDR server?"
        ) from error


def _check_authority(token: Token, enrolled: _Enrolled) -> None:
    try:
        is_pinned = fingerprint(enrolled.authority.encode()) == token.pin.replace(":", "").lower()
    except ValueError:
        is_pinned = False
    if not is_pinned:
        raise EnrolmentError(
            f"{token.url} sent another authority's certificate than the one that the token names"
        )


def _reason(response: httpx.Response) -> str:
    try:
        reason = msgspec.json.decode(response.content, type=dict[str, object]).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError):
        reason = None
    return str(reason or response.reason_phrase or "no reason given")[:500]
