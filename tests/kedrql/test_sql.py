from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deodar.events import VOCABULARY, Field, value
from deodar.kedrql import fields, parse, predicate, to_sql
from deodar.store.statements import Insert

if TYPE_CHECKING:
    from deodar.kedrql import Expression, Sql
    from deodar.store.engine import Engine

TYPES = {"string": "String", "integer": "Nullable(Int64)", "strings": "Array(String)"}
FIELDS = VOCABULARY.fields
ABSENT: dict[str, Any] = {"string": "", "integer": None, "strings": []}


class Table:
    """A table with the columns of the EDR log, in a real engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def fill(self, names: list[str], events: list[dict[str, Any]]) -> None:
        columns = ", ".join(f"{_column(f)} {TYPES[f.kind]}" for f in map(FIELDS.get, names) if f)
        self.engine.command("DROP TABLE IF EXISTS kedrql")
        self.engine.command(f"CREATE TABLE kedrql (n UInt32, {columns}) ENGINE = Memory")
        rows = [{"n": n} | _row(names, event) for n, event in enumerate(events)]
        lines = "\n".join(json.dumps(row) for row in rows)
        self.engine.insert_encoded(Insert("INSERT INTO kedrql", "JSONEachRow", lines.encode()))

    def matching(self, sql: Sql) -> list[int]:
        query = f"SELECT n FROM kedrql WHERE {sql.text} ORDER BY n"
        rows = self.engine.query(query, sql.parameters)
        return [int(number) for number in rows.column("n").to_pylist()]


def _row(names: list[str], event: dict[str, Any]) -> dict[str, Any]:
    found = {name: value(event, name) for name in names}
    return {_name(n): ABSENT[FIELDS[n].kind] if v is None else v for n, v in found.items()}


def _column(field: Field) -> str:
    return f"`{_name(field.name)}`"


def _name(field: str) -> str:
    return field.replace(".", "_")


@pytest.fixture(scope="module")
def table(deodar_store_engine: Engine) -> Table:
    return Table(deodar_store_engine)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_the_engine_and_the_predicate_choose_the_same_events(
    data: st.DataObject,
    table: Table,
    events: st.SearchStrategy[Any],
    expressions: st.SearchStrategy[Expression],
) -> None:
    some = data.draw(st.lists(events, min_size=1, max_size=25))
    filters = data.draw(st.lists(expressions, min_size=1, max_size=40))
    names = sorted(set().union(*map(fields, filters)))
    table.fill(names, some)
    for expression in filters:
        passes = predicate(expression)
        expected = [n for n, event in enumerate(some) if passes(event)]
        assert table.matching(to_sql(expression, _column)) == expected


EVENTS: list[dict[str, Any]] = [
    {"FileName": "bash", "FileSize": 10, "Ioa": {"Rules": [{"Name": "T1"}, {"Name": "T2"}]}},
    {"FileName": "100%", "FileSize": -1, "Ioa": {"Rules": []}},
    {"FileName": "line\nfeed", "FileSize": 0},
    {"FileName": "back\\slash"},
    {},
]
CHOICES = [
    ("FileName == 'bash'", [0]),
    ("FileName == 'BASH'", []),
    ("FileName == 'b*h'", [0, 3]),
    ("FileName != 'bash'", [1, 2, 3, 4]),
    ("FileName == ''", [4]),
    ("FileName == '*%'", [1]),
    ("FileName == '_ash'", []),
    ("FileName == 'line*feed'", [2]),
    ("FileName CONTAINS '\\\\'", [3]),
    ("FileName == 'back\\slash'", [3]),
    ("FileName < 'b'", [1, 4]),
    ("FileSize > 0", [0]),
    ("FileSize >= '0'", [0, 2]),
    ("FileSize != 0", [0, 1, 3, 4]),
    ("NOT FileSize > 0", [1, 2, 3, 4]),
    ("Ioa.Rules.Name == 'T2'", [0]),
    ("Ioa.Rules.Name != 'T2'", [1, 2, 3, 4]),
    ("Ioa.Rules.Name == ''", [1, 2, 3, 4]),
    ("Ioa.Rules.Name STARTS 'T' AND NOT Ioa.Rules.Name ENDS '3'", [0]),
    ("FileName == 'bash' OR FileSize == 0 AND FileName CONTAINS 'feed'", [0, 2]),
]


@pytest.mark.parametrize(("text", "expected"), CHOICES)
def test_a_filter_chooses_the_rows_that_it_says(
    table: Table, text: str, expected: list[int]
) -> None:
    table.fill(["FileName", "FileSize", "Ioa.Rules.Name"], EVENTS)
    expression = parse(text)
    assert table.matching(to_sql(expression, _column)) == expected
    assert [n for n, event in enumerate(EVENTS) if predicate(expression)(event)] == expected


def test_text_of_the_user_is_never_part_of_the_sql() -> None:
    sql = to_sql(parse("FileName == 'x\\' OR 1=1 --' AND FileSize > 7"))
    assert sql.text == "((`FileName` = {p0:String}) AND (ifNull(`FileSize` > {p1:Int64}, 0)))"
    assert sql.parameters == {"p0": "x' OR 1=1 --", "p1": 7}


def test_wildcards_become_like_and_its_own_special_characters_stay_plain() -> None:
    sql = to_sql(parse(r"FileName == '50%_\\*'"))
    assert sql.text == "(`FileName` LIKE {p0:String})"
    assert sql.parameters == {"p0": r"50\%\_\\%"}


def test_columns_can_be_named_otherwise() -> None:
    sql = to_sql(parse("HostName == 'a'"), lambda field: f"t.c_{field.name}")
    assert sql.text == "(t.c_HostName = {p0:String})"


def test_the_condition_can_be_joined_with_others() -> None:
    sql = to_sql(parse("HostName == 'a' OR HostName == 'b'"))
    assert sql.text.startswith("(")
    assert sql.text.endswith(")")


def test_the_deepest_and_the_longest_filter_run_on_the_engine(table: Table) -> None:
    table.fill(["FileName"], EVENTS)
    deepest = "NOT (" * 32 + "FileName = bash" + ")" * 32
    longest = " OR ".join(["FileName CONTAINS 'sh'"] * 500)
    assert table.matching(to_sql(parse(deepest))) == [0]
    assert table.matching(to_sql(parse(longest))) == [0, 3]
