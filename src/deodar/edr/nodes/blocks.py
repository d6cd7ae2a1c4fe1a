"""Packets as messages of the stream.

A packet is one Arrow batch (its columns and the events' texts), packed with zstd: what was decoded
and checked is not decoded again. One that is larger than a message may be goes in several parts.
The last part decides where in the stream the packet is; the others, of the same attempt to send it,
come before it. Parts whose last one never comes were acknowledged to nobody.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import zstandard

from deodar.edr.errors import BlockProblem
from deodar.edr.log.packet import Packet
from deodar.edr.log.schema import RESERVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MESSAGE_ID: Final = "Nats-Msg-Id"
SOURCE, PACKET, FIRST = "Deodar-Source", "Deodar-Packet", "Deodar-Packet-First"
PART, PARTS, ATTEMPT = "Deodar-Part", "Deodar-Parts", "Deodar-Attempt"
HEAD_BYTES: Final = 4096
"""Room that a message's headers need at most."""
KEPT_SECONDS: Final = 300.0
"""So long parts wait for the last one; no server sends so long."""
_LARGEST: Final = 1 << 30
_TEXTS: Final = "raw"
_LEVEL: Final = 1


@dataclass(frozen=True)
class Message:
    """One message to be published."""

    headers: dict[str, str]
    data: bytes


@dataclass(frozen=True)
class Received:
    """One message as it lies in the stream: its number there, and when it came (seconds)."""

    seq: int
    time: float
    headers: Mapping[str, str]
    data: bytes


def key(source: str) -> str:
    """Return the last word of the subject of a source's packets."""
    return hashlib.blake2b(source.encode(), digest_size=16).hexdigest()


def messages(packet: Packet, room: int) -> list[Message]:
    """Return a packet as messages of at most `room` bytes with their headers."""
    data = _pack(packet)
    size = room - HEAD_BYTES
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    attempt = uuid.uuid4().hex if len(pieces) > 1 else ""
    name = f"{key(packet.source)}#{packet.number}"
    made = []
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        headers = {
            MESSAGE_ID: name if last and not attempt else f"{name}/{attempt}/{number}",
            SOURCE: _header(packet.source),
            PACKET: str(packet.number),
            FIRST: str(packet.first),
        }
        if attempt:
            headers |= {PART: str(number), PARTS: str(len(pieces)), ATTEMPT: attempt}
        made.append(Message(headers, piece))
    return made


@dataclass
class _Begun:
    """The parts of a packet so far; none any more once it is complete, but not in the log."""

    first_seq: int
    time: float
    parts: dict[int, bytes] = field(default_factory=dict)
    is_complete: bool = False


class Assembler:
    """Puts packets together from messages in the stream's order."""

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}
        self.given_up = 0
        """Packets whose last part never came."""

    @property
    def oldest(self) -> int | None:
        """The number of the first message that is still needed, None if none is.

        The parts of a complete packet are needed until it is released.
        """
        return min((one.first_seq for one in list(self._begun.values())), default=None)

    def release(self, message: Received) -> None:
        """Let the parts go of the packet that a message completed: it is in the log."""
        self._begun.pop(message.headers.get(ATTEMPT, ""), None)

    def add(self, message: Received) -> Packet | None:
        """Return the packet that a message completes, None for one that completes none.

        Raises BlockProblem.
        """
        self._give_up(message.time)
        attempt = message.headers.get(ATTEMPT, "")
        if not attempt:
            return _unpack(message.headers, message.data)
        number, count = (_number(message.headers, name) for name in (PART, PARTS))
        begun = self._begun.setdefault(attempt, _Begun(message.seq, message.time))
        begun.parts[number] = message.data
        if number < count:
            return None
        parts, begun.parts, begun.is_complete = begun.parts, {}, True
        missing = [n for n in range(1, count + 1) if n not in parts]
        if missing:
            raise BlockProblem(f"parts {missing[:10]} of {count} are not in the stream")
        return _unpack(message.headers, b"".join(parts[n] for n in range(1, count + 1)))

    def _give_up(self, now: float) -> None:
        old = [
            name
            for name, one in list(self._begun.items())
            if one.time < now - KEPT_SECONDS and not one.is_complete
        ]
        for name in old:
            del self._begun[name]
        self.given_up += len(old)


def origin(headers: Mapping[str, str]) -> tuple[str, int, int]:
    """Return source, number and first number that a message's headers tell.

    Raises BlockProblem.
    """
    source = headers.get(SOURCE, "")
    if not source:
        raise BlockProblem(f"the header {SOURCE} is missing")
    try:
        text = bytes.fromhex(source).decode()
    except ValueError as error:
        raise BlockProblem(f"the header {SOURCE} is malformed") from error
    return text, _number(headers, PACKET), _number(headers, FIRST)


def _header(source: str) -> str:
    return source.encode().hex()  # an import's name may have any characters


def _number(headers: Mapping[str, str], name: str) -> int:
    try:
        return int(headers.get(name, ""))
    except ValueError as error:
        raise BlockProblem(f"the header {name} is no number") from error


def _pack(packet: Packet) -> bytes:
    names = [*packet.fields.schema.names, _TEXTS]
    batch = pa.RecordBatch.from_arrays([*packet.fields.columns, packet.raw], names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return zstandard.compress(sink.getvalue(), _LEVEL)


def _unpack(headers: Mapping[str, str], data: bytes) -> Packet:
    source, number, first = origin(headers)
    try:
        if not 0 < zstandard.frame_content_size(data) <= _LARGEST:
            raise BlockProblem("the block's size is missing or too large")
        plain = zstandard.decompress(data)
        table = pa.ipc.open_stream(plain).read_all().combine_chunks()
        table.validate(full=True)
    except (zstandard.ZstdError, pa.ArrowException, OSError) as error:
        raise BlockProblem(f"the block is damaged: {error}") from error
    (batch,) = table.to_batches() or (None,)
    if batch is None or not _is_whole(batch.schema.names, batch.schema):
        raise BlockProblem("the block has no events")
    at = batch.schema.get_field_index(_TEXTS)
    return Packet(source, number, batch.remove_column(at), batch.column(at), first)


def _is_whole(names: Sequence[str], schema: pa.Schema) -> bool:
    """Whether a block's columns are those of events."""
    reserved = set(RESERVED) - {_TEXTS}
    kind_is_right = _TEXTS in names and schema.field(_TEXTS).type == pa.string()
    return kind_is_right and not reserved & set(names) and len(set(names)) == len(names)
