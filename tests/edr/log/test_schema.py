from __future__ import annotations

from deodar import kedrql
from deodar.edr.log import schema
from deodar.events.vocabulary import VOCABULARY


def test_the_columns_are_those_that_are_written(engine):
    schema.prepare(engine)
    found = engine.query(
        "SELECT name, type FROM system.columns WHERE table = 'edr_events' "
        "AND database = currentDatabase()"
    )
    types = dict(zip(found["name"].to_pylist(), found["type"].to_pylist(), strict=True))
    assert set(types) == {*schema.RESERVED, *schema.HOT}
    for name in schema.HOT:
        integer = VOCABULARY.fields[name].kind == "integer"
        assert integer == (types[name] == "Nullable(Int64)")


def test_a_field_has_its_column_or_is_found_in_the_text():
    assert schema.quoted(VOCABULARY.fields["FileName"]) == "`FileName`"
    assert "JSONExtract" in schema.quoted(VOCABULARY.fields["ExitCode"])


def test_preparing_again_keeps_the_epoch_and_an_empty_store_gets_another(engine):
    first = schema.prepare(engine).current
    assert len(first) == 16
    assert schema.prepare(engine).current == first
    engine.command("TRUNCATE TABLE edr_epoch")
    assert schema.prepare(engine).current != first


def test_a_filter_on_any_field_is_a_good_query(engine):
    schema.prepare(engine)
    for field in VOCABULARY.fields.values():
        value = "1" if field.kind == "integer" else "'a*'"
        sql = kedrql.to_sql(kedrql.parse(f"{field.name} == {value}"), schema.quoted)
        engine.query(f"SELECT count() FROM edr_events WHERE {sql.text}", sql.parameters)


def test_preparing_again_does_not_write_the_tables_definition_anew(engine):
    schema.prepare(engine)
    said = []

    class Watched:
        def __getattr__(self, name):
            return getattr(engine, name)

        def command(self, sql, *rest):
            said.append(sql)
            engine.command(sql, *rest)

    schema.prepare(Watched())
    assert [sql for sql in said if "ALTER" in sql] == []
