from __future__ import annotations

import msgspec

from deodar.edr.scanning.wire import LARGEST_PACKET, MOST_MATCHES, Match, Reply


def test_the_largest_reply_fits_in_a_packet():
    tags = tuple("t" * 20 for _ in range(10))
    matches = tuple(Match("s" * 200, "r" * 200, tags, "medium") for _ in range(MOST_MATCHES))
    assert len(msgspec.json.encode(Reply(matches=matches))) < LARGEST_PACKET
