from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.siem.pipeline.source import Source

from deodar.kit.journal import Journal
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


@pytest.mark.parametrize(
    ("stage", "table"),
    [
        ("filters", {"code": "Name inDictionary 'd'"}),
        ("enrichment", {"kind": "timezone", "zone": "UTC", "filter": "Name inDictionary 'd'"}),
        ("aggregation", {"identical": ["Name"], "filter": "NOT Name inDictionary 'd'"}),
    ],
)
def test_a_dictionary_that_is_not_there_is_told_when_the_settings_are_read(tmp_path, stage, table):
    wanting = {stage: [{"name": "x", **table}]}
    place = rf"here: {stage}\[0\] \(x\): there is no dictionary d with one key; there are: none"
    with pytest.raises(RuleError, match=place):
        read(tables(**wanting), "here")
    known = tables(**wanting, dictionaries=[{"name": "d", "values": {"a": "b"}}])
    with Journal(tmp_path / "journal") as journal:
        line = open_line(read(known, "here"), tmp_path, Source(journal), 1 << 20)
        assert line.tables["d"] == {"a": "b"}
        line.close()


def test_what_the_guide_shows_is_good():
    text = Path("docs/how-to/filter-and-enrich.md").read_text("utf-8")
    blocks = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert len(blocks) == 4
    for block in blocks:
        read(tables(**block), "guide")
