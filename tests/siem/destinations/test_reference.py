from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from deodar.siem.destinations.reference import page
from deodar.siem.destinations.registry import KINDS, read

PAGE = page()


def test_every_kind_and_setting_is_on_the_page():
    for name, kind in KINDS.items():
        section = PAGE.split(f"## `{name}`")[1].split("\n## ")[0]
        own = {field.name for field in msgspec.structs.fields(kind.settings)}
        for setting in own:
            assert f"| `{setting}` |" in PAGE
        assert "| required |" in section


def test_the_examples_of_the_guide_are_read():
    root = Path(__file__).parents[3]
    text = (root / "docs/how-to/send-events-on.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    kinds = [read(tomllib.loads(one)["destinations"], where="x")[0].kind for one in examples]
    assert kinds == ["syslog", "http", "nats-jetstream"]


def test_the_example_is_read():
    example = PAGE.split("```toml\n")[1].split("```")[0]
    (settings,) = read(tomllib.loads(example)["destinations"], where="the page")
    assert settings.name == "archive"
