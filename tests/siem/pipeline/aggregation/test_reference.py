from __future__ import annotations

import re
import tomllib

from deodar.siem.pipeline.aggregation.reference import page
from deodar.siem.pipeline.aggregation.rule import read


def test_the_page_has_the_defaults_and_its_example_is_good():
    text = page()
    assert "| `threshold` | integer | `100` |" in text
    assert "| `lifetime` | seconds | `60.0` |" in text
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert read(tomllib.loads(block)["aggregation"], "page")
