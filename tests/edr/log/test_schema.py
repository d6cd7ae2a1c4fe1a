from __future__ import annotations

from deodar import kedrql
from deodar.edr.log import schema
from deodar.events.vocabulary import VOCABULARY


def test_every_field_of_the_vocabulary_has_a_column_of_its_kind(engine):
    schema.prepare(engine)
    found = engine.query(
        "SELECT name, type FROM system.columns WHERE table = 'edr_events' "
        "AND database = currentDatabase()"
    )
    types = dict(zip(found["name"].to_pylist(), found["type"].to_pylist(), strict=True))
    kinds = {"string": "String", "integer": "Nullable(Int64)", "strings": "Array(String)"}
    for name, field in VOCABULARY.fields.items():
        assert types[schema.column(name)] == kinds[field.kind]
    assert set(schema.RESERVED) <= set(types)


def test_no_two_fields_share_a_column_and_none_takes_a_reserved_one():
    columns = [schema.column(name) for name in VOCABULARY.fields]
    assert len(set(columns)) == len(columns)
    assert not set(columns) & set(schema.RESERVED)


def test_preparing_again_keeps_the_epoch_and_an_empty_store_gets_another(engine):
    first = schema.prepare(engine)
    assert len(first) == 16
    assert schema.prepare(engine) == first
    engine.command("TRUNCATE TABLE edr_epoch")
    assert schema.prepare(engine) != first


def test_columns_of_newer_fields_are_added(engine):
    schema.prepare(engine)
    engine.command("ALTER TABLE edr_events DROP COLUMN ExitCode")
    schema.prepare(engine)
    assert "ExitCode" in engine.query("SELECT * FROM edr_events LIMIT 0").column_names


def test_a_filter_on_any_field_is_a_good_query(engine):
    schema.prepare(engine)
    for field in VOCABULARY.fields.values():
        value = "1" if field.kind == "integer" else "'a*'"
        sql = kedrql.to_sql(kedrql.parse(f"{field.name} == {value}"), schema.quoted)
        engine.query(f"SELECT count() FROM edr_events WHERE {sql.text}", sql.parameters)
