from __future__ import annotations

import pytest

from deodar.edr.external_system import Caller, request_row, valid_id
from deodar.tls import certificates

from .conftest import self_made

DAY = 86_400 * 1_000_000


def test_a_request_keeps_whose_certificate_it_is_and_its_dates():
    pair = self_made()
    caller = Caller("siem", "10.0.0.1", certificates.der(pair.certificate))
    row = request_row(caller, caller.digest)
    assert row["digest"] == certificates.fingerprint(pair.certificate)
    assert (row["state"], row["subject"]) == ("pending", "external-0")
    begin, end = certificates.validity(pair.certificate)
    assert row["not_before_us"] == begin.timestamp() * 1_000_000
    assert row["not_after_us"] == end.timestamp() * 1_000_000
    assert row["not_after_us"] - row["first_seen_us"] > 300 * DAY


def test_what_cannot_be_read_has_dates_that_are_never_good():
    row = request_row(Caller("siem", "10.0.0.1", b"\x30nonsense"), "d")
    assert (row["not_before_us"], row["not_after_us"], row["subject"]) == (0, 0, "")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("c3a7e1f0-0b1c-4b44-9a51-0d2c7c1d9a10", True),
        ("a", True),
        ("", False),
        ("-a", False),
        ("a b", False),
        ("é", False),
        ("a" * 129, False),
        ("a\n", False),
    ],
)
def test_ids_are_short_plain_names(text, good):
    assert valid_id(text) is good
