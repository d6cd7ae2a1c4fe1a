from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from deodar.siem.connectors.reference import page
from deodar.siem.connectors.registry import KINDS, read

PAGE = page()


def test_every_kind_and_setting_is_on_the_page_and_what_repeats_it_can_have():
    promises = PAGE.split("## Settings of every kind")[0]
    for name, kind in KINDS.items():
        assert f"| `{name}` |" in promises
        section = PAGE.split(f"## `{name}`: {kind.summary}")[1].split("\n## ")[0]
        assert "| required |" in section
        for field in msgspec.structs.fields(kind.settings):
            assert f"| `{field.name}` |" in PAGE


def test_the_examples_of_the_guide_are_read():
    root = Path(__file__).parents[3]
    text = (root / "docs/how-to/collect-from-other-sources.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    kinds = {read(tomllib.loads(one)["connector"], where="x").kind for one in examples}
    assert kinds == set(KINDS) - {"kata/edr"}
