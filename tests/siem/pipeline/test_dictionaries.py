from __future__ import annotations

import pytest

from deodar.siem.pipeline import dictionaries
from deodar.siem.pipeline.errors import RuleError


def loaded(home, **settings):
    return dictionaries.load(dictionaries.read([{"name": "d", **settings}], "here"), home)


def test_a_table_of_the_settings_is_a_dictionary(tmp_path):
    found = loaded(tmp_path, values={"a": "1"}).get("d", keys=1)
    assert found.table == {("a",): ("1",)}
    assert found.columns == ("value",)


def test_a_csv_file_has_keys_and_named_values(tmp_path):
    (tmp_path / "d.csv").write_text("host,port,owner,zone\nh1,22,anna,dmz\n\n'h2',\"2,2\",b,c\n")
    found = loaded(tmp_path, file="d.csv", keys=2)
    assert found.get("d", keys=2).table == {
        ("h1", "22"): ("anna", "dmz"),
        ("'h2'", "2,2"): ("b", "c"),
    }
    assert found.get("d", keys=2).columns == ("owner", "zone")
    assert found.tables == {}  # a filter asks by one key only
    with pytest.raises(RuleError, match="its key has 2 columns, not 1"):
        found.get("d", keys=1)


def test_a_dictionary_with_one_key_is_there_for_filters(tmp_path):
    (tmp_path / "d.csv").write_text("user;owner\nroot;anna\n")
    assert loaded(tmp_path, file="d.csv", delimiter=";").tables == {"d": {"root": "anna"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: 1 columns of keys"),
        ("a\nb\n", "line 1: 1 columns of keys"),
        ("a,b\n1,2\n1,3\n", "line 3: the key 1 came before"),
        ("a,b\n1\n", "line 2: 1 columns, but the first line has 2"),
        ('a,b\n"1,2\n', r"d\.csv: unexpected end"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(tmp_path, text, reason):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(RuleError, match=reason):
        loaded(tmp_path, file="d.csv")


def test_a_file_is_bounded_in_rows_and_bytes(tmp_path, monkeypatch):
    (tmp_path / "d.csv").write_text("a,b\n" + "".join(f"{n},x\n" for n in range(20)))
    monkeypatch.setattr(dictionaries, "MAX_ROWS", 10)
    with pytest.raises(RuleError, match="line 12: more than 10 rows"):
        loaded(tmp_path, file="d.csv")
    monkeypatch.setattr(dictionaries, "MAX_BYTES", 10)
    with pytest.raises(RuleError, match="larger than 10 bytes"):
        loaded(tmp_path, file="d.csv")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "give either `file` or `values`"),
        ({"file": "x", "values": {"a": "b"}}, "give either"),
        ({"file": "x", "keys": 0}, "keys"),
        ({"fil": "x"}, "fil"),
    ],
)
def test_settings_that_cannot_be_used_are_told(settings, reason):
    with pytest.raises(RuleError, match=reason):
        dictionaries.read([{"name": "d", **settings}], "here")


def test_two_of_one_name_and_one_that_is_not_there_are_told(tmp_path):
    with pytest.raises(RuleError, match=r"dictionaries\[1\]: there is one named d before"):
        dictionaries.read([{"name": "d", "values": {"a": "b"}}] * 2, "here")
    with pytest.raises(RuleError, match="there is no dictionary 'e'; there are: d"):
        loaded(tmp_path, values={"a": "1"}).get("e", keys=1)
    with pytest.raises(RuleError, match="cannot read"):
        loaded(tmp_path, file="absent.csv")
