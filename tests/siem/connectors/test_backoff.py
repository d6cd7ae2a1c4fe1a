from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.connectors.backoff import LONGEST_RETRY_AFTER, Backoff, retry_after


@given(st.integers(), st.integers())
def test_a_delay_is_never_longer_than_the_longest_and_never_nothing(failures, seed):
    delay = Backoff(first=1.0, longest=60.0).delay(failures, Random(seed))
    assert 0.5 <= delay <= 60.0


def test_delays_grow_with_failures():
    backoff = Backoff(first=1.0, longest=60.0)
    assert backoff.delay(5, Random(1)) >= 8.0 > 2.0 >= backoff.delay(2, Random(1))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "999999999999999"}, LONGEST_RETRY_AFTER),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٣"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:27:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_against_the_answers_own_date(headers, seconds):
    assert retry_after(headers) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text()))
def test_any_retry_after_is_bounded_or_ignored(headers):
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER
