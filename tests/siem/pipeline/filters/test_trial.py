from __future__ import annotations

import pytest

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.filters.trial import Trial


def test_each_part_tells_what_it_gave():
    trial = Trial(parse("Name = 'a' AND NOT Extra.k contains 'x'"), {})
    result = trial.of({"Name": "a", "Extra": {"k": "x"}, "Unknown": 1})
    assert not result.passes
    assert result.parts == (("Name = 'a'", True), ("Extra.k contains 'x'", True))
    assert trial.of({"Name": "a"}).passes


def test_an_event_that_no_event_can_be_and_a_missing_dictionary_are_told():
    with pytest.raises(FilterError, match="event: DestinationPort"):
        Trial(parse("DestinationPort = 1"), {}).of({"DestinationPort": "many"})
    with pytest.raises(FilterError, match="there is no dictionary d"):
        Trial(parse("Name inDictionary 'd'"), {})
