"""Errors of certificates and TLS settings.

The tree::

    DeodarError
    └── TlsError                a certificate, key or pin cannot be used
        ├── CertificateError    a certificate, key or request is malformed, or they do not fit
        └── PinError            a pin is not a SHA-256 fingerprint

Failures on the wire stay ``ssl.SSLError``, as every HTTP client expects them.
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class TlsError(DeodarError):
    """A certificate, key or pin cannot be used."""


class CertificateError(TlsError):
    """A certificate, key or certificate request is malformed, unfit, or does not match."""


class PinError(TlsError):
    """A pin is not the SHA-256 fingerprint of a certificate."""
