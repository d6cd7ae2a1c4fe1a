"""What enrolment leaves in the agent's folder, and the TLS context that is made of it.

The running agent uses this and not deodar.tls: the standard library can check the server against
the one authority that the agent knows, and the 10 MB of a library that can issue certificates
would be carried by every endpoint.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

from deodar.agent.errors import NotEnrolledError
from deodar.agent.settings import AgentSettings
from deodar.kit import settings as toml

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

SETTINGS, CERTIFICATE, KEY = "agent.toml", "agent.crt", "agent.key"
AUTHORITY = "server-authority.crt"


def load(directory: StateDirectory) -> AgentSettings:
    """Return an enrolled agent's settings.

    Raises NotEnrolledError when a part of the agent is missing, SettingsError for a wrong setting.
    """
    for name in (SETTINGS, CERTIFICATE, KEY, AUTHORITY):
        if not directory.has(name):
            raise NotEnrolledError(
                f"{directory.path} holds no enrolled agent ({name} is missing); "
                f"enrol it with: deodar agent enroll --dir {directory.path} TOKEN"
            )
    return toml.load(directory.path / SETTINGS, AgentSettings)


def server_context(directory: StateDirectory, settings: AgentSettings) -> ssl.SSLContext:
    """Return a context that shows the agent's certificate and trusts its server's authority only.

    The authority's certificate has to be the pinned one. Names are not compared: it issues for
    servers of this one installation, and agents' certificates are no good for a server. Raises
    NotEnrolledError when a file is damaged or not the pinned one.
    """
    authority = directory.read(AUTHORITY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    try:
        if fingerprint(authority) not in {_bare(pin) for pin in settings.server.pins}:
            raise NotEnrolledError(
                f"{directory.path / AUTHORITY} is not the certificate that {SETTINGS} pins; "
                "enrol the agent again with: deodar agent enroll --force"
            )
        context.load_verify_locations(cadata=authority.decode("ascii"))
        context.load_cert_chain(directory.path / CERTIFICATE, directory.path / KEY)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise NotEnrolledError(
            f"a certificate or the key in {directory.path} is damaged ({error}); "
            "enrol the agent again with: deodar agent enroll --force"
        ) from error
    return context


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a PEM certificate, lower-case hex; raises ValueError if it is none."""
    text = certificate.decode("ascii").strip()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()


def _bare(pin: str) -> str:
    return pin.replace(":", "").strip().lower()
