"""One buffer for what comes off the wire, for all TLS connections of a listener.

asyncio gives each connection a buffer of its own, 256 KB by default, though it is used only between
reading from the socket and handing over to TLS, with no other connection's turn in between. Of
thousands of agents most wait for hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def share_buffer(transport: asyncio.BaseTransport, buffer: memoryview) -> None:
    """Let a TLS transport use a buffer that belongs to its event loop alone.

    It must be at least as long as `asyncio.sslproto.SSLProtocol.max_size`. Where asyncio is made
    differently, the connection keeps its own.
    """
    protocol: Any = getattr(transport, "_ssl_protocol", None)
    if isinstance(getattr(protocol, "_ssl_buffer_view", None), memoryview):
        protocol._ssl_buffer = buffer
        protocol._ssl_buffer_view = buffer
