"""What is told of a certificate, and what can be told of it without a library for certificates.

The standard library can use certificates but not tell what is in them, so whoever adds one, with
the larger library at hand, adds a few facts.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from datetime import UTC, datetime

import msgspec

from deodar.agent.errors import CertificateRefused

SERVER, CLIENT = "server", "client"
KINDS = (SERVER, CLIENT)
LARGEST = 1 << 20
WARN_DAYS = 30
DAY = 86_400.0

WORDS = {SERVER: "the server's certificate", CLIENT: "the agent's own certificate"}
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)


class CertificateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a certificate, for people. Times are ISO 8601, UTC; "" is not known."""

    kind: str = ""
    """"server" or "client"."""
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    not_before: str = ""
    not_after: str = ""
    sha256: str = ""
    is_authority: bool = False
    """It issues servers' certificates, rather than being one itself."""
    key: str = ""
    """The kind and length of its key."""

    def days_left(self, now: float) -> float | None:
        """Return the days until its end, negative after it; None when that is not known."""
        end = moment(self.not_after)
        return None if end is None else (end - now) / DAY


def fingerprint(certificate: str) -> str:
    """Return the SHA-256 of a PEM certificate, lower-case hex; raises ValueError if it is none."""
    found = next((m[0] for m in _BLOCK.finditer(certificate) if m[1] == "CERTIFICATE"), "")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found.strip())).hexdigest()


def moment(text: str) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch, None when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC).timestamp()


def check_kind(kind: str) -> None:
    """Raise CertificateRefused when there is no such kind."""
    if kind not in KINDS:
        raise CertificateRefused(
            f"there is no kind of certificate {kind[:100]!r}; there are: {', '.join(KINDS)}"
        )


def parts(kind: str, pem: str) -> tuple[str, str]:
    """Return (certificate, key) of a PEM text; the key is "" for a server.

    Raises CertificateRefused when there is more or less in it than there should be.
    """
    check_kind(kind)
    if len(pem) > LARGEST:
        raise CertificateRefused(f"a certificate of more than {LARGEST} bytes is not taken")
    if not pem.isascii():
        raise CertificateRefused("the certificate is not PEM: it has other characters than ASCII")
    blocks = [(match[1], match[0].strip() + "\n") for match in _BLOCK.finditer(pem)]
    certificates = [text for name, text in blocks if name == "CERTIFICATE"]
    keys = [text for name, text in blocks if name.endswith("PRIVATE KEY")]
    if not certificates:
        raise CertificateRefused("there is no certificate in it (BEGIN CERTIFICATE)")
    if len(keys) != (1 if kind == CLIENT else 0):
        raise CertificateRefused(
            "the agent's own certificate needs its private key, and exactly one"
            if kind == CLIENT
            else "there is a private key in it; add the server's certificate alone"
        )
    try:
        ssl.PEM_cert_to_DER_cert(certificates[0].strip())
    except ValueError as error:
        raise CertificateRefused(f"the certificate cannot be read: {error}") from error
    return "".join(certificates), "".join(keys)


def problem(kind: str, facts: CertificateFacts | None, now: float) -> str:
    """Return what an administrator has to do about a certificate at `now`; "" for nothing."""
    if facts is None:
        return missing(kind)
    begin, left = moment(facts.not_before), facts.days_left(now)
    if begin is not None and now < begin:
        return f"{WORDS[kind]} is not valid before {facts.not_before}; is this host's clock right?"
    if left is None or left > WARN_DAYS:
        return ""
    if left < 0:
        return f"{WORDS[kind]} has expired ({facts.not_after}); {how_to_add(kind)}"
    return f"{WORDS[kind]} expires in {left:.0f} days ({facts.not_after}); {how_to_add(kind)}"


def missing(kind: str) -> str:
    """Return the text for a certificate that is not there."""
    return f"{WORDS[kind]} is missing; {how_to_add(kind)}"


def how_to_add(kind: str) -> str:
    """Return the remedy, as the end of a sentence."""
    enrol = ", or enrol this host again (deodar agent enroll --force)" if kind == CLIENT else ""
    return f"add it with: deodar agent certificate {kind} add FILE{enrol}"
