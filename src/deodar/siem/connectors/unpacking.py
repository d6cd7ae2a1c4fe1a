"""Messages of a bus to events: unpacked as their headers say, one event each or one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deodar.kit.body import BodyError, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

Layout = Literal["message", "lines"]
MOST_PLAIN = 64 << 20
"""Bytes that a packed message may unpack to."""


class Unusable(ValueError):  # noqa: N818
    """A message that cannot be divided into events, with the bytes to be kept of it."""

    def __init__(self, reason: str, body: bytes) -> None:
        super().__init__(reason)
        self.body = body


def events_of(
    body: bytes, headers: Mapping[str, str], layout: Layout, longest: int
) -> tuple[list[bytes], list[bytes]]:
    """Return the events of a message, and the beginnings of those longer than `longest`.

    Raises Unusable when it does not unpack.
    """
    encoding = next((value for key, value in headers.items() if _is_encoding(key)), None)
    try:
        plain = decode(body, encoding, max_plain=MOST_PLAIN)
    except BodyError as error:
        raise Unusable(f"a message that does not unpack: {error}", body) from error
    found = [line.rstrip(b"\r") for line in plain.split(b"\n")] if layout == "lines" else [plain]
    return (
        [event for event in found if event and len(event) <= longest],
        [event[:longest] for event in found if len(event) > longest],
    )


def _is_encoding(key: str) -> bool:
    return key.lower() == "content-encoding"
