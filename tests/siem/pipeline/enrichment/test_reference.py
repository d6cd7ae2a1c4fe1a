from __future__ import annotations

import re
import tomllib

from deodar.siem.pipeline.enrichment.reference import page
from deodar.siem.pipeline.enrichment.registry import KINDS, read


def test_the_page_has_every_kind_with_its_settings_and_its_example_is_good():
    text = page()
    for name, kind in KINDS.items():
        assert f"## `{name}`: {kind.summary}" in text
    assert "| `max_queries` | integer | `1000` |" in text
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert read(tomllib.loads(block)["enrichment"], "page")
