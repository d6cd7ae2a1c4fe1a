from __future__ import annotations

import msgspec
import pytest

from deodar.siem.pipeline.errors import FilterError, RuleError
from deodar.siem.pipeline.tables import read_each


class Settings(msgspec.Struct):
    name: str
    size: int = 1


def small(settings: Settings) -> None:
    if settings.size > 9:
        raise FilterError("too large")


def test_tables_are_read_in_their_order():
    found = read_each([{"name": "a"}, {"name": "b", "size": 2}], Settings, "x: y", small)
    assert found == (Settings("a"), Settings("b", 2))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"name": "a", "size": "b"}, r"^x: y\[1\]: .*size"),
        ({"name": "a", "size": 10}, r"^x: y\[1\] \(a\): filter, too large"),
    ],
)
def test_what_cannot_be_used_is_told_with_place_and_name(table, reason):
    with pytest.raises(RuleError, match=reason):
        read_each([{"name": "good"}, table], Settings, "x: y", small)
