"""An external system as a script: the standard library's HTTP client and a certificate file."""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

LIMIT = 60.0
_ADDRESSES = itertools.count(2)


def own_address() -> str:
    """Return an address of this host that no other script here uses."""
    number = next(_ADDRESSES)
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def token(self) -> str:
        assert self.status == 200, self.body
        return self.json["continuationToken"]

    @property
    def ids(self) -> list[str]:
        assert self.status == 200, self.body
        return [event["Id"] for event in self.json["events"]]


@dataclass
class Script:
    """One external system: an id, a PEM file with certificate and key, an address of its own."""

    url: str
    authority: Path
    pem: Path | None
    id: str
    ip: str = field(default_factory=own_address)
    prefix: str = "/kata/events_api/v1/"

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection that checks the server's certificate and name."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if self.pem is not None:
            context.load_cert_chain(self.pem)
        host, _, port = self.url.removeprefix("https://").rpartition(":")
        return http.client.HTTPSConnection(
            host, int(port), timeout=LIMIT, context=context, source_address=(self.ip, 0)
        )

    def send(
        self,
        target: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, target, body, headers=headers or {})
            got = connection.getresponse()
            return Answer(got.status, got.headers, got.read())
        finally:
            connection.close()

    def get(self, tail: str = "", **given: Any) -> Answer:
        """Ask for events, at once unless `max_timeout` says otherwise."""
        given.setdefault("max_timeout", "PT0S")
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items())
        return self.send(f"{self.prefix}{self.id}/events{tail or '?'}{query}")
