from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deodar.columnar.raw import raw_texts
from deodar.columnar.spec import Spec

EVENTS = [b"zero", b"dead", "zwei €".encode()]


@pytest.mark.parametrize(
    ("raw", "misfits", "texts"),
    [
        ("never", [True, True], None),
        ("error", [False, False], None),
        ("error", [True, False], ["", "zero"]),
        ("always", [False, False], ["zwei ", "zero"]),
    ],
)
def test_which_texts_are_kept(raw: Any, misfits: list[bool], texts: list[str] | None) -> None:
    spec = Spec(name="r", columns=(), raw=raw, raw_limit=7)
    order = np.array([2, 0])
    column = raw_texts(spec, EVENTS, order, np.array(misfits[::-1]))
    assert (None if column is None else column.to_pylist()) == texts
