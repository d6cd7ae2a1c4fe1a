"""Enrolment: from a one-time token to an agent that its server knows.

The agent makes its own key, which never leaves the host, and gets a certificate for it. The server
is known by the fingerprint in the token, so that nothing has to be trusted on the way.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import msgspec

from deodar import __version__
from deodar.agent.certificate_checks import facts_of_pem
from deodar.agent.certificate_facts import fingerprint
from deodar.agent.certificates import CLIENT, SERVER, Certificates
from deodar.agent.enrich import host
from deodar.agent.enrolled import SETTINGS
from deodar.agent.errors import CertificateRefused, EnrolmentError, TokenError
from deodar.agent.settings import AgentSettings
from deodar.agent.tasks.store import SettingsStore
from deodar.kit import settings as toml
from deodar.kit.errors import SettingsError
from deodar.tls.certificates import make_request
from deodar.tls.contexts import pinned_client
from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

PREFIX = "deodar-enroll:v1:"
ENROLL = "/agent/v1/enroll"
TIMEOUT = 10.0
HTTPS = 443


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

    An agent that is enrolled anew keeps its tuning and its tasks' settings, but for the server.
    Raises EnrolmentError when the server says no, cannot be reached or is another one, and when
    the folder holds an agent already (unless `force`); StateError when the folder cannot be
    written or an agent runs in it.
    """
    if directory.has(SETTINGS) and not force:
        raise EnrolmentError(
            f"{directory.path} holds an agent already; to enrol it anew, add --force"
        )
    address, port = _place(token.url)
    with directory.lock():
        request, key = make_request("deodar-agent")
        enrolled = _ask(token, request, transport)
        _check_authority(token, enrolled)
        _keep_certificates(directory, token, enrolled, key)
        server = {"Endpoints": [{"Address": address, "Port": port}]}
        settings = SettingsStore(directory)
        settings.apply_policy(None)  # of the server before
        settings.change("KATAEDR", server | {"UseClientPinnedCertificate": True})
        known = _tuning(directory, enrolled.agent_id)
        text = toml.dump(known, comment="The agent's name and its tuning; see the docs")
        directory.write_secret(SETTINGS, text.encode())  # last: it makes the agent an enrolled one
    return known


def _place(url: str) -> tuple[str, int]:
    """Return address and port of a server's URL; raises EnrolmentError."""
    try:
        parts = urlsplit(url)
        address, port = parts.hostname, parts.port
    except ValueError:
        address, port, parts = None, None, urlsplit("")
    if parts.scheme != "https" or not address:
        raise EnrolmentError(f"cannot enrol at {url}: it is no address such as https://host:9443")
    return address, port or HTTPS


def _keep_certificates(
    directory: StateDirectory, token: Token, enrolled: _Enrolled, key: bytes
) -> None:
    certificates = Certificates(directory)
    pair = key.decode() + enrolled.certificate
    try:
        facts = facts_of_pem(CLIENT, enrolled.certificate.encode())
        certificates.set(CLIENT, pair, facts)
        facts = facts_of_pem(SERVER, enrolled.authority.encode())
        certificates.set(SERVER, enrolled.authority, facts)
    except (CertificateError, CertificateRefused) as error:
        raise EnrolmentError(
            f"{token.url} gave an answer that is no enrolment: {error}; is it a Deodar EDR server?"
        ) from error


def _tuning(directory: StateDirectory, agent_id: str) -> AgentSettings:
    """Return the present tuning under the new name; damaged tuning is begun anew."""
    if directory.has(SETTINGS):
        with contextlib.suppress(SettingsError):
            present = toml.load(directory.path / SETTINGS, AgentSettings)
            return msgspec.structs.replace(present, agent_id=agent_id)
    return AgentSettings(agent_id=agent_id)


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
        is_pinned = fingerprint(enrolled.authority) == token.pin.replace(":", "").lower()
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
