"""Records of the collector's journal: a body as it came, or the order to begin anew.

The header says where the stream stood before and after. Once a record is in the journal its token
(any connector's state) counts as consumed: a restarted collector goes on from the last record's
`token_after`. Batch and
event identities come from the journal's own and the record's number, so that whatever is done again
is recognised.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from deodar.siem.connectors.kata_edr_settings import KataEdrSettings


class Replay(msgspec.Struct, frozen=True):
    """Of dead letters that are sent again: the batch that they become, and for whom it is.

    `only` names the one destination that had refused them, "" for all. A `whole` body passed the
    stages before, so it is not aggregated again.
    """

    batch: str
    only: str = ""
    whole: bool = False


class RecordHeader(msgspec.Struct, frozen=True):
    """What is known of one record; `fetched_us` is µs since the epoch.

    A tick has nothing but its time: it closes windows of aggregation while nothing comes.

    `source` names the stream that the tokens belong to, `url` where the body is from. `framing`
    says how the body is divided into events, `encoding` what its text is to be converted from.
    Events from before `since_us` are not wanted; `replay` is there when dead letters are sent
    again.
    """

    kind: Literal["answer", "reset", "replay", "tick"]
    source: str
    token_before: str | None
    token_after: str | None
    url: str
    fetched_us: int
    has_events: bool = True
    framing: str = "kata"
    encoding: str = ""
    since_us: int = 0
    replay: Replay | None = None


def encode(header: RecordHeader) -> bytes:
    """Return the header as JSON."""
    return msgspec.json.encode(header)


def decode(data: bytes) -> RecordHeader:
    """Return a header; raises msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(data, type=RecordHeader)


def has_events(header: RecordHeader) -> bool:
    """Return whether there are events in a record's body."""
    return header.kind in ("answer", "replay") and header.has_events


def source_key(settings: KataEdrSettings, certificate_digest: str) -> str:
    """Return the identity of a stream of events: servers, external id and certificate.

    An EDR server takes a request with any of these changed for an initial one, so a token must not
    outlive a change.
    """
    parts = [*sorted(settings.servers()), settings.external_id.lower(), certificate_digest]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def batch_id(journal_identity: str, number: int) -> str:
    """Return the identity of the batch that a record becomes."""
    return f"{journal_identity}-{number}"


def event_ids(batch: str, rows: list[int]) -> list[str]:
    """Return a UUID (version 8, text) for each row index, always the same for the same batch.

    The last 32 bits are the row's index, the others a digest of the batch's identity.
    """
    digest = hashlib.blake2b(batch.encode(), digest_size=12).hexdigest()
    head = f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-b{digest[17:20]}-{digest[20:24]}"
    return [f"{head}{row:08x}" for row in rows]
