from __future__ import annotations

import re

from deodar.siem.pipeline.filters.operators import OPERATORS
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.filters.reference import page


def test_the_page_has_every_operator_and_its_examples_are_good():
    text = page()
    for name in OPERATORS:
        assert f"| `{name}` |" in text
    (block,) = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines():
        parse(line)
