"""What the server writes into the text of an event, without decoding it again.

``ReceivedTimestamp`` and the agent's id are the server's word, whatever the event claims; an ``Id``
is made where there is none. Most events claim none of these and get them at their end. A claim is
cut out of the text where that is plainly safe; else the event is written anew.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deodar.edr.decoding import AGENT_ID, ID, RECEIVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.edr.decoding import Decoded

_VALUE: Final = rb':(?:-?[0-9]+|"[^"\\]*")(?=[,}])'


class Stamp:
    """The additions to the events of one packet."""

    def __init__(self, batch_id: str, agent_id: str, received: int) -> None:
        """`received` is in µs; with an empty `agent_id` events keep their own."""
        self._batch_id = batch_id
        self._agent_id = agent_id
        time = b'"%s":%d' % (RECEIVED.encode(), received)
        agent = b'"%s":%s' % (AGENT_ID.encode(), msgspec.json.encode(agent_id))
        self._time = time
        self._tail = b"%s,%s" % (time, agent) if agent_id else time

    def put(self, decoded: Decoded, numbers: Sequence[int]) -> tuple[pa.Array, pa.RecordBatch]:
        """Return the events' completed texts, and the columns, which say the same.

        `numbers` are those of the lines, from which ids are made.
        """
        ids = decoded.fields[ID]
        if pc.all(pc.greater(pc.binary_length(ids), 0)).as_py():
            raw = self._lines(decoded)
        else:
            raw = _as_array(self._with_ids(decoded, numbers))
        fields = {name: column for name, column in decoded.fields.items() if name != ID}
        if self._agent_id:
            fields[AGENT_ID] = pa.repeat(pa.scalar(self._agent_id), len(raw))
        return raw, pa.RecordBatch.from_pydict(fields)

    def _lines(self, decoded: Decoded) -> pa.Array:
        claims, tail = self._claims(decoded)
        end = b",%s}" % tail
        if not claims:
            return _with_end(decoded.lines, end)
        return _as_array(
            [
                _rewritten(line, tail) if (cut := _cut(line, claims)) is None else cut[:-1] + end
                for line in decoded.lines
            ]
        )

    def _with_ids(self, decoded: Decoded, numbers: Sequence[int]) -> list[bytes]:
        return [
            _rewritten(line, self._tail if old else b'%s,"Id":"%s"' % (self._tail, self._id(n)))
            for line, old, n in zip(
                decoded.lines, decoded.fields[ID].to_pylist(), numbers, strict=True
            )
        ]

    def _claims(self, decoded: Decoded) -> tuple[list[_Claim], bytes]:
        """Return what must go from the texts before the tail is put on, and that tail."""
        claims = []
        if decoded.timed:
            claims.append(_TIME)
        if not self._agent_id:
            return claims, self._tail
        theirs = decoded.fields[AGENT_ID]
        if pc.all(pc.equal(theirs, self._agent_id)).as_py() and _once(decoded.lines, _AGENT):
            return claims, self._time
        if _named(decoded.lines, _AGENT) or pc.max(pc.binary_length(theirs)).as_py():
            claims.append(_AGENT)
        return claims, self._tail

    def _id(self, number: int) -> bytes:
        seed = f"{self._batch_id}#{number}".encode()
        digest = hashlib.blake2b(seed, digest_size=16).digest()
        return str(uuid.UUID(bytes=digest, version=4)).encode()


def _as_array(lines: Sequence[bytes]) -> pa.Array:
    """Return texts that are known to be UTF-8 as an array of strings, in one copy."""
    ends = np.cumsum([0, *map(len, lines)], dtype=np.int32)
    data = pa.py_buffer(b"".join(lines))
    return pa.StringArray.from_buffers(len(lines), pa.py_buffer(ends), data)


def _with_end(lines: Sequence[bytes], end: bytes) -> pa.Array:
    """Return objects with their last brace replaced by an end, as an array, in one copy."""
    lengths = np.fromiter(map(len, lines), np.int32, len(lines))
    ends = np.zeros(len(lines) + 1, np.int32)
    np.cumsum(lengths + (len(end) - 1), out=ends[1:])
    parts = [memoryview(line)[:-1] for line in lines]
    data = pa.py_buffer(end.join([*parts, b""]))
    return pa.StringArray.from_buffers(len(lines), pa.py_buffer(ends), data)


class _Claim:
    """A field that only the server may write."""

    def __init__(self, name: str) -> None:
        self.key = b'"%s"' % name.encode()
        self.value = re.compile(b"," + re.escape(self.key) + _VALUE)


_TIME: Final = _Claim(RECEIVED)
_AGENT: Final = _Claim(AGENT_ID)


def _named(lines: Sequence[bytes], claim: _Claim) -> bool:
    key = claim.key
    return any(key in line for line in lines)


def _once(lines: Sequence[bytes], claim: _Claim) -> bool:
    """Whether no event has the field's name a second time, which would be another claim."""
    key = claim.key
    return all(line.count(key) == 1 for line in lines)


def _cut(line: bytes, claims: Sequence[_Claim]) -> bytes | None:
    """Return a valid event without some fields; None if they cannot be found for certain.

    Behind a comma a quote can only open a name, and before the first inner brace that name is one
    of the event's own.
    """
    if b"\\" in line and b"\\u" in line:
        return None  # a name may be written with escapes
    for claim in claims:
        at = line.find(claim.key) - 1
        if at < 0:
            continue
        if line.find(b"{", 1, at) >= 0:
            return None
        found = claim.value.match(line, at)
        if found is None or line.find(claim.key, found.end()) >= 0:
            return None
        line = line[:at] + line[found.end() :]
    return line


def _rewritten(line: bytes, tail: bytes) -> bytes:
    """Return an event's text with some fields replaced; all others stay as they were written."""
    event = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    event |= msgspec.json.decode(b"{" + tail + b"}", type=dict[str, msgspec.Raw])
    return msgspec.json.encode(event)
