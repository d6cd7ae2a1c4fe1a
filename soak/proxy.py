"""A way between agent and server that can be made to fail: it refuses, hangs, crawls, resets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

BLOCK = 16_384
PATIENCE = 0.1
CRAWL = 64
"""Bytes that pass in each PATIENCE seconds while the way is slow."""


class FaultyWay:
    """Forwards TCP connections from `port` to `target`, as well as its mode lets it.

    The mode may be set at any time: "open", "refuses", "hangs" (accepts and forwards nothing),
    "slow" (some hundred bytes a second) or "resets" (cut off in the middle of what is sent).
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._mode = "open"
        self._stop = threading.Event()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0
        self._listen()
        self.port = self._listening().getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def mode(self) -> str:
        """How the way behaves now."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._mode = mode
        if mode == "refuses":
            self._close_listener()
            self._cut()
        elif self._listener is None:
            self._listen()

    def close(self) -> None:
        """End all connections and listen no more."""
        self._stop.set()
        self._close_listener()
        self._cut()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        listener.settimeout(PATIENCE)
        self._listener = listener

    def _listening(self) -> socket.socket:
        assert self._listener is not None
        return self._listener

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def _cut(self) -> None:
        with self._lock:
            taken, self._connections = self._connections, set()
        for connection in taken:
            _reset(connection)

    def _accept(self) -> None:
        while not self._stop.is_set():
            listener = self._listener
            if listener is None:
                time.sleep(PATIENCE)
                continue
            try:
                client, _ = listener.accept()
            except OSError:  # a time-out, or closed meanwhile
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _reset(client)
            return
        with self._lock:
            self._connections |= {client, server}
        back = threading.Thread(target=self._forward, args=(server, client, False), daemon=True)
        back.start()
        self._forward(client, server, True)
        back.join()
        with self._lock:
            self._connections -= {client, server}
        client.close()
        server.close()

    def _forward(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        passed = 0
        source.settimeout(PATIENCE)
        while not self._stop.is_set():
            if self._mode == "hangs":
                time.sleep(PATIENCE)
                continue
            try:
                data = source.recv(CRAWL if self._mode == "slow" else BLOCK)
                if not data:
                    break
                sink.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                break
            passed += len(data)
            if self._mode == "slow":
                time.sleep(PATIENCE)
            if self._mode == "resets" and outward and passed > 2000:
                _reset(source)
                break
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
