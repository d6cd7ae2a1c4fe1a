from __future__ import annotations

import ppdeep

from deodar.agent.hashing import wire


def test_the_longest_messages_fit() -> None:
    longest = f"{2**63}:{'x' * ppdeep.SPAMSUM_LENGTH}:{'x' * (ppdeep.SPAMSUM_LENGTH // 2)}"
    for size in (len(longest), wire.DIGESTS.size, wire.REQUEST.size):
        assert wire.ANSWER.size + size <= wire.LARGEST


def test_files_of_any_age_and_size_can_be_asked_for() -> None:
    asked = (2**64 - 1, 2**63, -(10**18), 2**62)
    assert wire.REQUEST.unpack(wire.REQUEST.pack(*asked)) == asked
