"""Certificates of servers that were trusted on first use, kept in the collector's folder.

One file, ``trusted-servers.json``: for each address the SHA-256 of the certificate that it showed
when it was met. It is durable before anything is sent to the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from deodar.siem.errors import SiemError

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.kit.directory import StateDirectory

FILE = "trusted-servers.json"


class Trusted:
    """The certificates trusted so far."""

    def __init__(self, home: StateDirectory) -> None:
        """Read the file; raises SiemError when it cannot be used: then nobody may be trusted."""
        self._home = home
        self._known = _read(home) if home.has(FILE) else {}

    def of(self, url: str) -> str:
        """Return the SHA-256 of the server's certificate, "" when it was not met yet."""
        return self._known.get(url, "")

    def learn(self, url: str, digest: str) -> None:
        """Keep the certificate of a server that is met; raises StateError when the disk refuses."""
        self._save({**self._known, url: digest})

    def forget(self, url: str = "") -> tuple[str, ...]:
        """Forget one server, or all; returns those that were known. Raises StateError."""
        gone = tuple(one for one in self._known if url in ("", one))
        if gone:
            self._save({one: pin for one, pin in self._known.items() if one not in gone})
        return gone

    def _save(self, known: dict[str, str]) -> None:
        self._home.write(FILE, msgspec.json.format(msgspec.json.encode(known)))
        self._known = known


def _read(home: StateDirectory) -> dict[str, str]:
    try:
        return msgspec.json.decode(home.read(FILE), type=dict[str, str])
    except msgspec.MsgspecError as error:
        path: Path = home.path / FILE
        raise SiemError(
            f"{path} cannot be read ({error}); compare the servers' certificates, then remove it"
        ) from error
