from __future__ import annotations

import uuid

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.collector.record import (
    RecordHeader,
    batch_id,
    decode,
    encode,
    event_ids,
    source_key,
)
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings

SETTINGS = KataEdrSettings(
    urls=["edr-1:9443", "edr-2:9443"], external_id="7F8A1C1E-5f0d-4d58-9d5a-9f6a2b3c4d5e"
)
HEADER = RecordHeader("answer", "s", "t0", "t1", "https://edr:443", 1_700_000_000_000_000)


def test_a_header_is_read_back_equal():
    assert decode(encode(HEADER)) == HEADER


def test_a_stream_is_known_by_servers_id_and_certificate():
    key = source_key(SETTINGS, "digest")
    swapped = msgspec.structs.replace(SETTINGS, urls=["edr-2:9443", "https://edr-1:9443"])
    assert source_key(swapped, "digest") == key
    lower = msgspec.structs.replace(SETTINGS, external_id=SETTINGS.external_id.lower())
    assert source_key(lower, "digest") == key
    for other in (
        source_key(SETTINGS, "other"),
        source_key(msgspec.structs.replace(SETTINGS, urls=["edr-1:9443"]), "digest"),
        source_key(msgspec.structs.replace(SETTINGS, external_id=str(uuid.uuid4())), "digest"),
    ):
        assert other != key


@given(st.text(min_size=1), st.lists(st.integers(0, 2**32 - 1), unique=True))
def test_event_ids_are_distinct_uuids_that_never_change(batch, rows):
    ids = event_ids(batch, rows)
    assert ids == event_ids(batch, rows)
    assert len(set(ids)) == len(rows)
    for text in ids:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


def test_batches_of_two_journals_differ():
    assert batch_id("a", 1) != batch_id("b", 1)
    assert event_ids("a-1", [0]) != event_ids("b-1", [0])
