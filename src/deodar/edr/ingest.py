"""Taking packets of events in: split, check, complete, and hand over to the log.

A packet is NDJSON. What cannot be an event becomes a dead letter with its reason, and the rest goes
on. The server completes each event's text with when it was received, and where absent with an id
and the agent's id, without decoding it. A repeat of a packet gets the same ids.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar.dead_letters import DeadLetter
from deodar.edr.database import now_us
from deodar.edr.errors import EdrError, PacketRefused
from deodar.edr.log.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.columnar.program import Program
    from deodar.edr.log.eventlog import EventLog


class TooManyEvents(EdrError):  # noqa: N818
    """A packet has more events than the settings allow."""


@dataclass(frozen=True)
class Origin:
    """Where a packet comes from, and its number there.

    `agent_id` is put into its events, if known; `first_line` is the number of the packet's first
    line in the file that it was cut from, for dead letters.
    """

    source: str
    number: int
    agent_id: str = ""
    first_line: int = 1

    @property
    def batch_id(self) -> str:
        """A text that names the packet for ever."""
        return f"{self.source}#{self.number}"


@dataclass(frozen=True)
class Receipt:
    """What became of a packet: events in the log, dead letters, or that it was known already."""

    packet: int
    events: int = 0
    dead: int = 0
    duplicate: bool = False


class Ingest:
    """The way in, shared by agents and by imports. Used within one event loop."""

    def __init__(
        self,
        log: EventLog,
        program: Program,
        dead_letters: DeadLetterStore,
        max_events: int,
        executor: Executor,
    ) -> None:
        """`executor` runs the decoding; its threads leave the event loop free."""
        self._log = log
        self._program = program
        self._dead_letters = dead_letters
        self._max_events = max_events
        self._executor = executor
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def take(self, origin: Origin, body: bytes) -> Receipt:
        """Take one packet; returns when its events are durable.

        Packets of one source are taken in the order of the calls. Raises TooManyEvents, and
        LogUnavailable when it must be sent again.
        """
        async with self._turn(origin.source):
            if self._log.was_taken(origin.source, origin.number):
                return Receipt(origin.number, duplicate=True)
            packet, dead = await self._off_loop(
                partial(decode, self._program, origin, body, self._max_events)
            )
            if dead:
                await self._bury(origin, dead)
            if packet is None:
                return Receipt(origin.number, 0, len(dead))
            try:
                if not await self._log.append(packet):
                    return Receipt(origin.number, duplicate=True)
            except PacketRefused as error:
                return await self._bury_all(origin, packet, len(dead), str(error))
            return Receipt(origin.number, packet.events, len(dead))

    async def bury(self, origin: Origin, reason: str, body: bytes) -> Receipt:
        """Keep a packet that cannot be read at all as one dead letter."""
        async with self._turn(origin.source):
            await self._bury(origin, [DeadLetter(reason, "", origin.first_line, body)])
            return Receipt(origin.number, 0, 1)

    async def _bury_all(self, origin: Origin, packet: Packet, dead: int, reason: str) -> Receipt:
        texts = packet.raw.to_pylist()
        letters = [DeadLetter(reason, "", n, text.encode()) for n, text in enumerate(texts)]
        await self._bury(origin, letters)
        return Receipt(origin.number, 0, dead + len(letters))

    def _turn(self, source: str) -> asyncio.Lock:
        return self._turns.setdefault(source, asyncio.Lock())

    async def _bury(self, origin: Origin, dead: Sequence[DeadLetter]) -> None:
        letters = [_from(letter, origin) for letter in dead]
        await self._off_loop(partial(self._dead_letters.add, letters, origin.batch_id))

    async def _off_loop(self, work: partial[Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def decode(
    program: Program, origin: Origin, body: bytes, max_events: int
) -> tuple[Packet | None, list[DeadLetter]]:
    """Return a packet's events, None if there is none, and its dead letters.

    Raises TooManyEvents.
    """
    numbers, lines, dead = split(body)
    if len(lines) > max_events:
        raise TooManyEvents(f"a packet has {len(lines)} events; at most {max_events} are allowed")
    outcome = program.run(lines)
    dead += [msgspec.structs.replace(one, index=numbers[one.index]) for one in outcome.dead]
    rows, batch = outcome.rows, outcome.batch
    if not _all_have(batch, "EventType"):
        named = [bool(text) for text in _texts(batch, "EventType")]
        nameless = [row for row, good in zip(rows, named, strict=True) if not good]
        dead += [
            DeadLetter("EventType is missing", "EventType", numbers[row], lines[row])
            for row in nameless
        ]
        batch = batch.filter(pa.array(named, pa.bool_()))
        rows = [row for row, good in zip(rows, named, strict=True) if good]
    if not rows:
        return None, dead
    stamp = _Stamp(origin, body, batch, now_us())
    fields = stamp.fields([numbers[row] for row in rows])
    raw = pa.array(stamp.texts([lines[row] for row in rows], fields), pa.string())
    return Packet(origin.source, origin.number, fields, raw), dead


def split(body: bytes) -> tuple[list[int], list[bytes], list[DeadLetter]]:
    """Return the numbers (from 0) and texts of lines, without blank ones, and what is no text."""
    numbered = [
        (n, line) for n, line in enumerate(body.split(b"\n")) if line and not line.isspace()
    ]
    dead: list[DeadLetter] = []
    if not _is_text(body):
        dead = [DeadLetter("not UTF-8", "", n, line) for n, line in numbered if not _is_text(line)]
        numbered = [(n, line) for n, line in numbered if _is_text(line)]
    return [n for n, _ in numbered], [line.strip() for _, line in numbered], dead


class _Stamp:
    """What the server adds to the events of one packet."""

    def __init__(self, origin: Origin, body: bytes, batch: pa.RecordBatch, received: int) -> None:
        """`batch` has what the events say of themselves; `received` is in µs."""
        self._origin = origin
        self._body = body
        self._batch = batch
        self._received = received

    def fields(self, numbers: Sequence[int]) -> pa.RecordBatch:
        """Return the columns with time of receipt, ids, and the agent's id put in."""
        batch, count = self._batch, self._batch.num_rows
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns["ReceivedTimestamp"] = pa.repeat(pa.scalar(self._received, pa.int64()), count)
        if self._origin.agent_id:
            columns["AgentId"] = pa.repeat(pa.scalar(self._origin.agent_id), count)
        if not _all_have(batch, "Id"):
            made = zip(_texts(batch, "Id"), numbers, strict=True)
            columns["Id"] = pa.array([one or self._id(number) for one, number in made], pa.string())
        return pa.RecordBatch.from_pydict(columns)

    def texts(self, lines: Sequence[bytes], fields: pa.RecordBatch) -> list[bytes]:
        """Return the events' texts, completed so that they say what `fields` has."""
        agent_id = self._origin.agent_id if self._lacks_agent() else ""
        tail = b'"ReceivedTimestamp":%d' % self._received
        if agent_id:
            tail += b',"AgentId":' + msgspec.json.encode(agent_id)
        claims = b'"ReceivedTimestamp"' in self._body or (agent_id and b'"AgentId"' in self._body)
        if not claims and _all_have(self._batch, "Id"):
            end = b"," + tail + b"}"
            return [line[:-1] + end for line in lines]
        given, ids = _texts(self._batch, "Id"), _texts(fields, "Id")
        return [
            _rewritten(line, tail if old else b'%s,"Id":"%s"' % (tail, new.encode()))
            for line, old, new in zip(lines, given, ids, strict=True)
        ]

    def _lacks_agent(self) -> bool:
        """Whether some event does not name the agent that it comes from."""
        if "AgentId" not in self._batch.schema.names:
            return True
        return not pc.all(pc.equal(self._batch.column("AgentId"), self._origin.agent_id)).as_py()

    def _id(self, number: int) -> str:
        seed = f"{self._origin.batch_id}#{number}".encode()
        digest = hashlib.blake2b(seed, digest_size=16).digest()
        return str(uuid.UUID(bytes=digest, version=4))


def _rewritten(line: bytes, tail: bytes) -> bytes:
    """Return an event's text with some fields replaced; all others stay as they were written."""
    event = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    event |= msgspec.json.decode(b"{" + tail + b"}", type=dict[str, msgspec.Raw])
    return msgspec.json.encode(event)


def _texts(batch: pa.RecordBatch, name: str) -> list[str]:
    at = batch.schema.get_field_index(name)
    return [""] * batch.num_rows if at < 0 else batch.column(at).to_pylist()


def _all_have(batch: pa.RecordBatch, name: str) -> bool:
    """Whether the column is there and no row's text is empty."""
    at = batch.schema.get_field_index(name)
    if at < 0:
        return bool(batch.num_rows == 0)
    return bool(pc.all(pc.greater(pc.binary_length(batch.column(at)), 0)).as_py())


def _from(letter: DeadLetter, origin: Origin) -> DeadLetter:
    return msgspec.structs.replace(
        letter, index=origin.first_line + letter.index, source=origin.source
    )


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
