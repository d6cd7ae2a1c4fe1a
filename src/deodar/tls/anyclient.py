"""The server's TLS context that takes any client certificate, or none, and shows it.

Python's own `ssl` verifies a client's certificate against known authorities or does not ask for
one. External systems of the KATA events API come with certificates that they signed themselves, so
this context runs OpenSSL through pyOpenSSL, behind the part of the `ssl.SSLContext` interface that
asyncio's transports use: bytes go in and out by two memory buffers.

The handshake proves that the client holds the key of the certificate. Whether it may come in is
the application's decision, from digest, issuer and dates: nothing of that is checked here.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

from deodar.tls.certificates import load_certificates
from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD = 16_384  # bytes: the most that one TLS record carries, hence one read returns
_FEED = 65_536  # bytes handed to OpenSSL at a time; what waits behind them stays visible to asyncio
_WRITE = 262_144  # bytes encrypted by one call
_CHAIN_DEPTH = 10


class AnyClientContext(ssl.SSLContext):
    """A server-side context; made by `deodar.tls.contexts.any_client`.

    Only `wrap_bio` works, which is what asyncio uses; TLS 1.2 and 1.3, no session resumption and
    no renegotiation, so the certificate of a connection never changes.
    """

    _engine: SSL.Context

    def __new__(cls, certificate_pem: bytes, key_pem: bytes) -> AnyClientContext:
        """Make the stdlib part of the object, whose settings are not used."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, certificate_pem: bytes, key_pem: bytes) -> None:
        self._engine = _engine(certificate_pem, key_pem)

    def wrap_bio(  # type: ignore[override]  # duck-typed: asyncio needs no real SSLObject
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> MemoryConnection:
        """Return the TLS state of one connection between two memory buffers."""
        if not server_side or server_hostname is not None:
            raise ValueError("this TLS context is for servers only")
        return MemoryConnection(self, SSL.Connection(self._engine, None), incoming, outgoing)

    def wrap_socket(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse: a plain socket would run on the stdlib part, which has no certificate."""
        raise NotImplementedError("this TLS context works on memory buffers (asyncio) only")


class MemoryConnection:
    """One connection's TLS state, with the interface of `ssl.SSLObject` as far as it is used."""

    session = None
    session_reused = False
    server_side = True
    server_hostname = None

    def __init__(
        self,
        context: AnyClientContext,
        connection: SSL.Connection,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self.context = context
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        connection.set_accept_state()

    def do_handshake(self) -> None:
        """Go on with the handshake; raises ssl.SSLWantReadError until it is complete."""
        with self._translated():
            self._fed(self._connection.do_handshake)

    def read(self, size: int = _RECORD, buffer: Any = None) -> Any:
        """Return up to `size` bytes, b"" once the peer has closed; or fill `buffer`, and count.

        Raises ssl.SSLWantReadError when more has to come from the wire first.
        """
        try:
            with self._translated():
                data = self._fed(lambda: self._connection.recv(min(size, _RECORD)))
        except ssl.SSLZeroReturnError:
            data = b""
        if buffer is None:
            return data
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt some of `data` and return how many bytes; the rest is for the next call."""
        with self._translated():
            return self._connection.send(memoryview(data)[:_WRITE])

    def unwrap(self) -> None:
        """Close the TLS layer; raises ssl.SSLWantReadError until the peer has closed as well."""
        with self._translated():
            self._fed(self._close)

    def pending(self) -> int:
        """Return how many decrypted bytes wait for `read`."""
        return self._connection.pending()

    def getpeercert(self, binary_form: bool = False) -> Any:
        """Return the client's certificate as DER, None without one; an empty dict if not binary.

        The dict is what `ssl` shows of a certificate that was not verified.
        """
        if not binary_form:
            return {}
        certificate = self._connection.get_peer_certificate()
        if certificate is None:
            return None
        return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)

    def cipher(self) -> tuple[str, str, int] | None:
        """Return (cipher, protocol version, secret bits), None before the handshake."""
        name = self._connection.get_cipher_name()
        version = self._connection.get_cipher_version()
        bits = self._connection.get_cipher_bits()
        return (name, version, bits) if name and version and bits else None

    def version(self) -> str | None:
        """Return the protocol version, such as "TLSv1.3"."""
        return self._connection.get_protocol_version_name()

    def compression(self) -> None:
        """Return None: TLS compression is off."""

    def selected_alpn_protocol(self) -> None:
        """Return None: no protocol is negotiated, HTTP/1.1 it is."""

    def _close(self) -> None:
        # The first call says farewell, the second one looks for the peer's.
        if not self._connection.shutdown() and not self._connection.shutdown():
            raise SSL.WantReadError

    def _fed(self, operation: Any) -> Any:
        """Return the operation's result, feeding OpenSSL from the wire as long as it asks."""
        while True:
            try:
                return operation()
            except SSL.WantReadError:
                received = self._incoming.read(_FEED)
                if not received:
                    raise
                self._connection.bio_write(received)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn pyOpenSSL's errors into those of `ssl`, and pass on what is to be sent."""
        try:
            yield
        except SSL.WantReadError:
            if self._incoming.eof:
                raise _eof() from None
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more data needed") from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "TLS closed") from None
        except SSL.SysCallError:
            raise _eof() from None
        except SSL.Error as error:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, _reasons(error)) from None
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while True:
            try:
                data = self._connection.bio_read(_WRITE)
            except SSL.WantReadError:
                return
            self._outgoing.write(data)
            if len(data) < _WRITE:
                return


def _engine(certificate_pem: bytes, key_pem: bytes) -> SSL.Context:
    """Return the pyOpenSSL context; raises CertificateError when the pair does not fit."""
    chain = load_certificates(certificate_pem)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"deodar")
    context.set_verify(SSL.VERIFY_PEER, _take_any)
    context.set_verify_depth(_CHAIN_DEPTH)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        key: Any = serialization.load_pem_private_key(key_pem, None)
        context.use_certificate(chain[0])
        for issuer in chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(key)
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise CertificateError(f"the server's certificate and key do not fit: {error}") from error
    return context


def _take_any(*_details: object) -> bool:
    return True


def _eof() -> ssl.SSLEOFError:
    return ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer closed without saying so")


def _reasons(error: SSL.Error) -> str:
    """Return OpenSSL's own words for an error."""
    stack = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in stack) or "TLS failure"
