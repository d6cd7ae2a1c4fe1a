from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.settings import open_line, read

EMPTY = {"filters": [], "enrichment": [], "aggregation": [], "dictionaries": []}


def tables(**given) -> SimpleNamespace:
    return SimpleNamespace(**(EMPTY | given))


def test_everything_is_read_and_named():
    found = read(
        tables(
            filters=[{"name": "f", "code": "Name = 'a'"}],
            enrichment=[{"name": "e", "kind": "constant", "target": "Name", "constant": "x"}],
            aggregation=[{"name": "a", "identical": ["Name"]}],
            dictionaries=[{"name": "d", "values": {"a": "b"}}],
        ),
        "here",
    )
    everything = (*found.filters, *found.enrichment, *found.aggregation, *found.dictionaries)
    assert [one.name for one in everything] == ["f", "e", "a", "d"]


def test_a_filter_whose_dictionary_is_not_there_is_named(tmp_path):
    filters = [{"name": "f", "code": "Name inDictionary 'd'"}]
    with pytest.raises(RuleError, match="filter f: there is no dictionary d"):
        open_line(read(tables(filters=filters), "here"), tmp_path, None, 1 << 20)
    known = tables(filters=filters, dictionaries=[{"name": "d", "values": {"a": "b"}}])
    line = open_line(read(known, "here"), tmp_path, None, 1 << 20)
    assert line.tables["d"] == {"a": "b"}


def test_what_the_guide_shows_is_good():
    text = Path("docs/how-to/filter-and-enrich.md").read_text("utf-8")
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert len(blocks) == 4
    for block in blocks:
        read(tables(**block), "guide")
