from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.edr.log.slices import join


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "", "é"], ["", ""]])
def test_texts_are_joined_by_commas(texts):
    assert bytes(join(pa.array(texts, pa.string()))).decode() == ",".join(texts)


def test_a_part_of_an_array_is_joined_alone():
    assert bytes(join(pa.array(["a", "b", "c"])[1:])) == b"b,c"
