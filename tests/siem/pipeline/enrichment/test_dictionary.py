from __future__ import annotations

from pathlib import Path

import pytest
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline import dictionaries
from deodar.siem.pipeline.errors import RuleError


@pytest.fixture
def known(tmp_path):
    (tmp_path / "d.csv").write_text("depth,port,owner,zone\n0,0,anna,dmz\n1,1,ben,lan\n0,3,cleo,\n")
    tables = [
        {"name": "pairs", "file": "d.csv", "keys": 2},
        {"name": "one", "values": {"0": "zero"}},
    ]
    return dictionaries.load(dictionaries.read(tables, "here"), tmp_path)


def test_several_fields_make_the_key_and_the_column_is_chosen(known):
    pairs = {"keys": ["Extra.Depth", "DestinationPort"], "dictionary": "pairs"}
    found, written, errors = enriched(
        "dictionary", dictionaries=known, target="SourceUserName", **pairs
    )
    assert column(found, "SourceUserName") == ["anna", "ben", "", "cleo"]
    assert (written.tolist(), errors) == ([True, True, False, True], 0)
    found, written, _ = enriched(
        "dictionary", dictionaries=known, target="Reason", column="zone", missing="?", **pairs
    )
    assert column(found, "Reason") == ["dmz", "lan", "?", ""]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"dictionary": "absent"},
            "rule rule: there is no dictionary 'absent'; there are: one, pairs",
        ),
        ({"dictionary": "pairs"}, "its key has 2 columns, not 1"),
        ({"column": "zone"}, "column: dictionary one has value, no 'zone'"),
        ({"keys": []}, "keys"),
        ({"keys": ["Nam"]}, r"\(rule\)\.keys: .*did you mean Name"),
    ],
)
def test_what_cannot_be_used_is_told(known, changes, reason):
    settings = {"dictionary": "one", "keys": ["Extra.Depth"], "target": "Name", **changes}
    with pytest.raises(RuleError, match=reason):
        enriched("dictionary", dictionaries=known, home=Path(), **settings)
