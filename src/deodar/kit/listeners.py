"""Listening sockets: TCP, and unix sockets that only their owner may use."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING

from deodar.kit.errors import DeodarError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LAST_PORT = 65_535
_SOCKET_PATH_LIMIT = 107  # bytes, sockaddr_un


class ServeError(DeodarError):
    """A listener cannot be opened, or an application failed to start; the text names which."""


@contextlib.contextmanager
def listening(host: str, port: int, path: Path | None) -> Iterator[socket.socket]:
    """Hold a bound socket; a unix socket's file is removed at the end."""
    if path is None:
        with contextlib.closing(_tcp(host, port)) as listener:
            yield listener
        return
    with contextlib.closing(_unix(path)) as listener:
        own = path.lstat().st_ino
        try:
            yield listener
        finally:
            _remove(path, own)


def _tcp(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:
        raise ServeError(
            f"{port} is no port; set one from 1 to {_LAST_PORT}, or 0 for any free one"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        raise ServeError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; "
            "stop what uses it, or set another address or port"
        ) from error
    # Inherited by the connections. asyncio sets it only for sockets made by itself, and without
    # it a small answer on a kept connection waits some 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _unix(path: Path) -> socket.socket:
    _make_room(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # before listen(): until then nobody can connect
    except OSError as error:
        listener.close()
        raise ServeError(f"cannot make the socket {path}: {error.strerror or error}") from error
    return listener


def _make_room(path: Path) -> None:
    """Remove the socket that a killed program left behind; raises ServeError for anything else."""
    if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        raise ServeError(
            f"the socket path {path} is longer than {_SOCKET_PATH_LIMIT} bytes; "
            "use a state folder with a shorter path"
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServeError(f"{path} is there and is no socket; move it away")
    if _answers(path):
        raise ServeError(f"another running program listens on {path}; stop it first")
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def _remove(path: Path, inode: int) -> None:
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
