"""Sending dead letters through the collector again, after what was wrong has been mended.

Letters go into the journal as records of their own and come out of the store of dead letters once
they are durable there. The batch that they become is named after the one that they are of and after
the letters themselves, so the same letters sent again are recognised by the store.
"""

from __future__ import annotations

import hashlib
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from deodar.siem.collector.record import Replay
from deodar.siem.connectors.framing import FRAMES, Group, pack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from deodar.columnar.dead_letters import DeadLetterStore, StoredLetter

MOST = 100_000
"""Letters that one call sends again."""
_TOGETHER = 1_000
_AGAIN = re.compile(r"-r[0-9a-f]{12}$")
_BYTES = 8 << 20


class Wanted(msgspec.Struct, frozen=True):
    """Which letters: those ids, or all whose reason has that text."""

    ids: list[str] = []
    reason: str = ""


class Replayed(msgspec.Struct, frozen=True):
    """How many letters went into the journal again, and in how many records."""

    letters: int = 0
    records: int = 0


class Parcel(NamedTuple):
    """A record to be: its body, how it is divided, where it is from, and the letters in it."""

    body: bytes
    framing: str
    source: str
    replay: Replay
    ids: tuple[str, ...]


async def replay(
    letters: DeadLetterStore, wanted: Wanted, put: Callable[[Parcel], Awaitable[None]]
) -> Replayed:
    """Send letters again; `put` makes a parcel durable in the journal. Raises OSError."""
    sent = records = 0
    chosen = (
        (letters.read(one) for one in wanted.ids) if wanted.ids else letters.walk(wanted.reason)
    )
    for parcel in parcels(islice((one for one in chosen if one is not None), MOST)):
        await put(parcel)
        letters.remove(parcel.ids)
        sent, records = sent + len(parcel.ids), records + 1
    return Replayed(sent, records)


def parcels(letters: Iterable[StoredLetter]) -> Iterator[Parcel]:
    """Give the records that letters become: a whole body by itself, events of a batch together.

    A letter without a byte is of something that nobody has, and stays; so does an event that a
    destination refused in its own form, which cannot be normalized.
    """
    together: list[StoredLetter] = []
    for one in letters:
        if one.letter.framing and one.letter.raw:
            yield _whole(one)
        if one.letter.framing or one.letter.destination or not one.letter.raw:
            continue
        if together and not _fits(together, one):
            yield _events(together)
            together = []
        together.append(one)
    if together:
        yield _events(together)


def _fits(together: Sequence[StoredLetter], one: StoredLetter) -> bool:
    size = sum(len(letter.letter.raw) for letter in together) + len(one.letter.raw)
    same = one.batch_id == together[0].batch_id
    return same and len(together) < _TOGETHER and size <= _BYTES


def _whole(one: StoredLetter) -> Parcel:
    letter = one.letter
    batch = one.batch_id.removesuffix(f"-to-{letter.destination}")
    return Parcel(
        letter.raw,
        letter.framing,
        letter.source,
        Replay(batch, letter.destination, whole=True),
        (one.id,),
    )


def _events(together: Sequence[StoredLetter]) -> Parcel:
    first = together[0]
    digest = hashlib.blake2b(digest_size=6)
    for one in together:
        digest.update(one.id.encode() + b"\0" + one.letter.raw + b"\0")
    raw = [one.letter.raw for one in together]
    return Parcel(
        pack([Group(first.letter.source, first.time, raw)]),
        FRAMES,
        first.letter.source,
        Replay(f"{_AGAIN.sub('', first.batch_id)}-r{digest.hexdigest()}"),
        tuple(one.id for one in together),
    )
