from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.normalizers.base import Arrived
from deodar.siem.normalizers.raw import RawNormalizer, is_address


def row(event: bytes, source="192.0.2.7", time_us=1_795_310_453_954_321) -> dict:
    (found,) = RawNormalizer().run(Arrived([event], [source], [time_us])).batch.to_pylist()
    return found


def test_an_event_has_its_text_source_and_time():
    assert row(b"<13>hello") == {
        "Timestamp": 1_795_310_453_954,
        "DeviceReceiptTime": 1_795_310_453_954,
        "Message": "<13>hello",
        "Raw": "<13>hello",
        "DeviceAddress": "192.0.2.7",
    }
    assert row(b"x", "/var/log/x")["Extra"] == [("Source", "/var/log/x")]
    assert row(b"x", "2001:db8::1")["DeviceAddress"] == "2001:db8::1"


def test_of_a_long_text_nothing_is_lost():
    text = "ж" * 20_000
    found = row(text.encode())
    assert found["Message"] == text[:1023]
    assert found["Raw"] == "ж" * 8192
    assert dict(found["Extra"]) == {"Message": text}


def test_events_without_an_origin_are_rows_too():
    outcome = RawNormalizer().run([b"a", b"b"])
    assert outcome.rows == [0, 1]
    assert outcome.batch["Raw"].to_pylist() == ["a", "b"]


@given(st.lists(st.binary(), max_size=5))
def test_any_bytes_are_shown_and_none_refused(events):
    outcome = RawNormalizer().run(events)
    assert outcome.batch.num_rows == len(events)
    assert not outcome.dead
    for event, text in zip(events, outcome.batch["Raw"].to_pylist() if events else [], strict=True):
        assert text == event.decode("utf-8", "backslashreplace")


def test_addresses_are_told_from_paths():
    assert is_address("fe80::1%eth0")
    assert not is_address("/var/log/1")
